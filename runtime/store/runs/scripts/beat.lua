-- Heartbeat: the runner says that it lives, and learns what it must know.
-- KEYS: runners, timers, queued, waits. ARGV: runner, lease ms, first ('1': it has not beaten before).
-- Returns {fenced, now ms, next due ms or -1, alive runners, own rank, values with a queue, wait paths, dead runner, ...}.
-- A runner whose lease ran out is fenced: others may have its runs. Its entry stays, for them to find.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local limit = now - tonumber(ARGV[2])
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
local fenced = 0
if ARGV[3] ~= '1' and (not last or tonumber(last) < limit) then
  fenced = 1
else
  -- Removing is allowed when the memory is full, and then so is what follows in
  -- the script: a runner does not lose its lease because Redis is full.
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[1], string.format('%d', now), ARGV[1])
end
local head = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%d', limit), '+inf')
table.sort(alive)
local rank = -1
for i, name in ipairs(alive) do if name == ARGV[1] then rank = i - 1 end end
local out = {fenced, now, head[2] and math.floor(tonumber(head[2])) or -1, #alive, rank, redis.call('SCARD', KEYS[3]), redis.call('HLEN', KEYS[4])}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%d', limit))) do
  out[#out + 1] = name
end
return out
