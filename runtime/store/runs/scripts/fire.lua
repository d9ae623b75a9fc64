-- Put runs whose time has come back into the inbox.
-- KEYS: timers, inbox. ARGV: at most. Returns {fired, next due ms or -1, now ms}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', now), 'LIMIT', 0, ARGV[1])
for _, run in ipairs(due) do
  redis.call('ZREM', KEYS[1], run)
  redis.call('XADD', KEYS[2], '*', 'run', run)
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {#due, head[2] and math.floor(tonumber(head[2])) or -1, now}
