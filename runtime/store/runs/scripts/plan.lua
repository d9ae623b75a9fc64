-- Install a version of a function. An older one is kept while a parked run began
-- with it, and for a while after it was replaced: its runners have runs that
-- are not parked.
-- KEYS: plans, functions, versions, replaced. ARGV: function, version, spec, ms to keep.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HDEL', KEYS[4], ARGV[2]) -- first, so that a full Redis lets the rest happen: see beat
local last = redis.call('HGET', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if last and last ~= ARGV[2] then redis.call('HSET', KEYS[4], last, string.format('%d', now)) end
local replaced = redis.call('HGETALL', KEYS[4])
for i = 1, #replaced, 2 do
  local version, at = replaced[i], tonumber(replaced[i + 1])
  if now - at > tonumber(ARGV[4]) and redis.call('HEXISTS', KEYS[3], version) == 0 then
    redis.call('HDEL', KEYS[1], version)
    redis.call('HDEL', KEYS[4], version)
  end
end
return 1
