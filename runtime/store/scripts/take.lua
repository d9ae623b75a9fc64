-- Take over a parked run for the inbox entry that names it. A run has one
-- owner: another entry for a run that is owned is stale, and dropped.
-- KEYS: inbox, journal, timers. ARGV: group, entry id, run id.
-- Returns the journal as a flat list, or false.
local owner = redis.call('HGET', KEYS[2], '@o')
if owner == '' or owner == ARGV[2] then
  redis.call('HSET', KEYS[2], '@o', ARGV[2])
  redis.call('ZREM', KEYS[3], ARGV[3])
  return redis.call('HGETALL', KEYS[2])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return false
