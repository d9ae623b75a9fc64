-- Take over entries of a runner that is dead, and of no other: the check and
-- the claim are one step, so that two runners never take the same entry.
-- KEYS: runners, stream. ARGV: group, own name, dead runner, lease ms, at most.
-- Returns {entry id, deliveries, fields or false, ...}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last = redis.call('ZSCORE', KEYS[1], ARGV[3])
if last and tonumber(last) >= now - tonumber(ARGV[4]) and ARGV[3] ~= ARGV[2] then return {} end
local out = {}
for _, p in ipairs(redis.call('XPENDING', KEYS[2], ARGV[1], '-', '+', ARGV[5], ARGV[3])) do
  local entry = redis.call('XRANGE', KEYS[2], p[1], p[1])
  local body = false
  if entry[1] then
    redis.call('XCLAIM', KEYS[2], ARGV[1], ARGV[2], 0, p[1])
    body = entry[1][2]
  else
    -- Trimmed or deleted: there is nothing to run.
    redis.call('XACK', KEYS[2], ARGV[1], p[1])
  end
  out[#out + 1] = {p[1], p[4] + 1, body}
end
return out
