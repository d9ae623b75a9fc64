-- Commit the result of a step and publish its events in the same write: they
-- are sent exactly once. A zombie sends nothing: once the run has ended there is
-- no journal that could tell it so, but its entry is not its own any more.
-- KEYS: journal, source stream, then per event: stream, id key.
-- ARGV: path, result, id ttl ms, events, group, entry id, runner, then per event: dedupe, n, n fields and values.
-- Returns false when the result was new, else the result that holds.
if #redis.call('XPENDING', KEYS[2], ARGV[5], ARGV[6], ARGV[6], 1, ARGV[7]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return redis.call('HGET', KEYS[1], ARGV[1])
end
local ai = 7
for e = 1, tonumber(ARGV[4]) do
  local stream, idkey = KEYS[2 * e + 1], KEYS[2 * e + 2]
  local dedupe, n = ARGV[ai + 1], tonumber(ARGV[ai + 2])
  if dedupe == '0' or not redis.call('GET', idkey) then
    local entry = redis.call('XADD', stream, '*', unpack(ARGV, ai + 3, ai + 2 + n))
    if dedupe == '1' then redis.call('SET', idkey, entry, 'PX', ARGV[3]) end
  end
  ai = ai + 2 + n
end
return false
