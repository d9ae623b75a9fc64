-- Remove the stream of an event type that is not declared any more, unless a
-- function reads it: then it goes on with the default retention.
-- KEYS: stream, types, published, where groups stood. ARGV: event type. Returns 1
-- when the stream is gone.
redis.call('HDEL', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 and #redis.call('XINFO', 'GROUPS', KEYS[1]) > 0 then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[4])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
