-- Give back slots of a keyed limit and put as many waiting runs back as there is room for.
-- KEYS: slots, runners, leases, queue, queued, inbox. ARGV: runner, held in all ('' to leave it), limit, lease ms, queued member.
-- Returns how many runs were put back.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[2] ~= '' then
  -- Removing comes first: it is allowed when the memory is full, and then the rest is.
  redis.call('HDEL', KEYS[1], ARGV[1])
  if ARGV[2] ~= '0' then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    redis.call('PEXPIRE', KEYS[1], 86400000)
  end
end
local used = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local last = redis.call('ZSCORE', KEYS[2], all[i])
  if last and tonumber(last) >= now - tonumber(redis.call('HGET', KEYS[3], all[i]) or ARGV[4]) then used = used + tonumber(all[i + 1]) end
end
local woken = 0
while used + woken < tonumber(ARGV[3]) do
  local run = redis.call('LPOP', KEYS[4])
  if not run then break end
  redis.call('XADD', KEYS[6], '*', 'run', run)
  woken = woken + 1
end
if redis.call('EXISTS', KEYS[4]) == 0 then redis.call('SREM', KEYS[5], ARGV[5]) end
return woken
