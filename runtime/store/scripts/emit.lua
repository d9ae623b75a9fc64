-- Commit the result of a step and publish its events in the same write: they
-- are sent exactly once.
-- KEYS: journal, then per event: stream, id key. ARGV: path, result, id ttl ms, events, then per event: dedupe, n, n fields and values.
-- Returns false when the result was new, else the result that holds.
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return redis.call('HGET', KEYS[1], ARGV[1])
end
local ai = 4
for e = 1, tonumber(ARGV[4]) do
  local stream, idkey = KEYS[2 * e], KEYS[2 * e + 1]
  local dedupe, n = ARGV[ai + 1], tonumber(ARGV[ai + 2])
  if dedupe == '0' or not redis.call('GET', idkey) then
    local entry = redis.call('XADD', stream, '*', unpack(ARGV, ai + 3, ai + 2 + n))
    if dedupe == '1' then redis.call('SET', idkey, entry, 'PX', ARGV[3]) end
  end
  ai = ai + 2 + n
end
return false
