-- Take over entries of a runner that is dead, and of no other: the check and
-- the claim are one step, so that two runners never take the same entry. A
-- runner that is dead itself takes none: nobody would look for them there.
-- KEYS: runners, stream. ARGV: group, own name, dead runner, lease ms, at most, start ('-', or after an entry: '(id').
-- Returns {{entry id, deliveries, fields or false}, ...}. Without fields the
-- entry was deleted from the stream: it stays pending until its loss is recorded.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function alive(runner)
  local last = redis.call('ZSCORE', KEYS[1], runner)
  return last and tonumber(last) >= now - tonumber(ARGV[4])
end
if not alive(ARGV[2]) or alive(ARGV[3]) and ARGV[3] ~= ARGV[2] then return {} end
local out = {}
local pending = redis.pcall('XPENDING', KEYS[2], ARGV[1], ARGV[6], '+', ARGV[5], ARGV[3])
if pending.err then
  if string.find(pending.err, 'NOGROUP', 1, true) then return out end -- the function does not read it any more
  return pending
end
for _, p in ipairs(pending) do
  local entry = redis.call('XRANGE', KEYS[2], p[1], p[1])
  local body = false
  if entry[1] then
    redis.call('XCLAIM', KEYS[2], ARGV[1], ARGV[2], 0, p[1])
    body = entry[1][2]
  end
  out[#out + 1] = {p[1], p[4] + 1, body}
end
return out
