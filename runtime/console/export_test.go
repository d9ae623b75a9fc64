package console

import "time"

// SetHeartbeat changes the time between two signs of life of a stream.
func (s *Service) SetHeartbeat(d time.Duration) { s.heartbeat = d }
