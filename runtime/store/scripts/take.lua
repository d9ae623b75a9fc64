-- Take over a parked run for the inbox entry that names it. A run has one
-- owner: another entry for a run that is owned is stale, and dropped.
-- A runner that was given the entry no more takes nothing: the run would be
-- owned by an entry that nobody has, and never wake.
-- KEYS: inbox, journal, timers. ARGV: group, entry id, run id, runner.
-- Returns the journal as a flat list, or false.
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[4]) == 0 then
  return redis.error_reply('FENCED the entry has another owner')
end
local owner = redis.call('HGET', KEYS[2], '@o')
if owner == '' or owner == ARGV[2] then
  redis.call('HSET', KEYS[2], '@o', ARGV[2])
  redis.call('ZREM', KEYS[3], ARGV[3])
  return redis.call('HGETALL', KEYS[2])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return false
