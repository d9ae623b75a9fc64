-- with pace
-- Pass a rate limit, which drops what is above it. What was decided is in the
-- journal, in the same write: a delivery after a crash reads it and takes no start
-- again. A zombie decides nothing: see emit.
-- KEYS: source stream, journal, state. ARGV: group, entry id, runner, interval in us, burst.
-- Returns 'counted' or 'dropped'.
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[3]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
local decided = redis.call('HGET', KEYS[2], '@begin')
if decided then return decided == 'dropped' and 'dropped' or 'counted' end
redis.call('HDEL', KEYS[2], '') -- removes nothing, but comes first: a full Redis lets the rest happen, see beat
local t = redis.call('TIME')
local pace = even(KEYS[3], tonumber(ARGV[4]), tonumber(ARGV[5]), t[1] * 1000000 + t[2])
decided = 'dropped'
if pace.starts > 0 then
  decided = 'counted'
  pace.take()
  pace.keep(0)
end
redis.call('HSET', KEYS[2], '@begin', decided)
return decided
