-- Heartbeat: the runner says that it lives, and for how long that counts, and
-- learns what it must know.
-- KEYS: runners, leases, timers, queued, waits, reads, lacking. ARGV: runner, lease ms, first ('1': it has not beaten before).
-- Returns {fenced, now ms, next due ms or -1, alive runners, own rank, values with a queue, wait paths, types read,
-- runs that lack code, dead runner, ...}.
-- A runner whose lease ran out is fenced: others may have its runs. Its entry stays, for them to find.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local leases = {}
local stated = redis.call('HGETALL', KEYS[2])
for i = 1, #stated, 2 do leases[stated[i]] = tonumber(stated[i + 1]) end
leases[ARGV[1]] = tonumber(ARGV[2])
local function alive(runner, last)
  return last >= now - (leases[runner] or tonumber(ARGV[2])) -- releases before did not state theirs
end
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
local fenced = 0
if ARGV[3] ~= '1' and not (last and alive(ARGV[1], tonumber(last))) then
  fenced = 1
else
  -- Removing is allowed when the memory is full, and then so is what follows in
  -- the script: a runner does not lose its lease because Redis is full.
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZADD', KEYS[1], string.format('%d', now), ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
local living, dead = {}, {}
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  local list = alive(all[i], tonumber(all[i + 1])) and living or dead
  list[#list + 1] = all[i]
end
table.sort(living)
local rank = -1
for i, name in ipairs(living) do if name == ARGV[1] then rank = i - 1 end end
local head = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
local out = {fenced, now, head[2] and math.floor(tonumber(head[2])) or -1, #living, rank,
  redis.call('SCARD', KEYS[4]), redis.call('HLEN', KEYS[5]), redis.call('SCARD', KEYS[6]), redis.call('HLEN', KEYS[7])}
for _, name in ipairs(dead) do out[#out + 1] = name end
return out
