-- Hold slots of a concurrency limit. A runner says how many it wants to hold
-- in all, so that a lost answer leaks nothing; the slots of a runner whose
-- lease ran out count for nobody.
-- KEYS: slots, runners, leases, queue. ARGV: runner, wanted in all, limit, lease ms, share (0: no bound), new ('1': not ahead of a queue).
-- Returns how many it holds.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local want, limit, share = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local held, others = 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] == ARGV[1] then
    held = tonumber(all[i + 1])
  else
    local last = redis.call('ZSCORE', KEYS[2], all[i])
    if last and tonumber(last) >= now - tonumber(redis.call('HGET', KEYS[3], all[i]) or ARGV[4]) then
      others = others + tonumber(all[i + 1])
    else
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
if want > held then
  if ARGV[6] == '1' and redis.call('EXISTS', KEYS[4]) == 1 then want = held end
  local room = limit - others
  if share > 0 and share < room then room = share end
  if want > room then want = room end
  if want < held then want = held end
end
redis.call('HDEL', KEYS[1], ARGV[1]) -- first, so that a full Redis lets the rest happen: see beat
if want > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], want)
  redis.call('PEXPIRE', KEYS[1], 86400000)
end
return want
