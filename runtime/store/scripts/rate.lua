-- GCRA: a rate limit with one number of state. See "Generic Cell Rate Algorithm", ITU-T I.371.
-- KEYS: state. ARGV: interval in us, burst, n, mode: 'take' up to n now, 'return' n.
-- Returns {granted, ms until the next one}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, burst, n = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tat = tonumber(redis.call('GET', KEYS[1]) or '0')
if ARGV[4] == 'return' then
  tat = tat - n * interval
  if tat <= now then redis.call('DEL', KEYS[1]) else
    redis.call('SET', KEYS[1], string.format('%d', tat), 'PX', math.ceil((tat - now) / 1000) + 1000)
  end
  return {0, 0}
end
if tat < now then tat = now end
local granted = 0
while granted < n and tat - now <= (burst - 1) * interval do
  tat = tat + interval
  granted = granted + 1
end
local wait = tat - (burst - 1) * interval - now
if granted > 0 then
  redis.call('SET', KEYS[1], string.format('%d', tat), 'PX', math.ceil((tat - now) / 1000) + 1000)
end
if wait < 0 then wait = 0 end
return {granted, math.ceil(wait / 1000)}
