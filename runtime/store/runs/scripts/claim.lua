-- Take over entries of a runner that is dead, and of no other: the check and
-- the claim are one step, so that two runners never take the same entry. A
-- runner that is dead itself takes none: nobody would look for them there. What
-- it has itself it is only told.
-- An entry that was begun often is a suspect: it may kill its runner, and whatever
-- runs beside it then counts one more. It is taken alone.
-- KEYS: runners, leases, stream. ARGV: group, own name, dead runner, lease ms, at most, start ('-', or after an entry: '(id'),
--       deliveries of a suspect (0: there are none), suspects that may be taken.
-- Returns {{entry id, deliveries, fields or false}, ...}. Without fields the
-- entry was deleted from the stream: it stays pending until its loss is recorded.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function alive(runner)
  local last = redis.call('ZSCORE', KEYS[1], runner)
  return last and tonumber(last) >= now - tonumber(redis.call('HGET', KEYS[2], runner) or ARGV[4])
end
local own = ARGV[2] == ARGV[3]
if not alive(ARGV[2]) or not own and alive(ARGV[3]) then return {} end
local out, often, suspects = {}, tonumber(ARGV[7]), tonumber(ARGV[8])
local start = ARGV[6]
repeat -- a page of nothing but suspects hides what comes after it
  local pending = redis.pcall('XPENDING', KEYS[3], ARGV[1], start, '+', ARGV[5], ARGV[3])
  if pending.err then
    if string.find(pending.err, 'NOGROUP', 1, true) then return out end -- the function does not read it any more
    return pending
  end
  for _, p in ipairs(pending) do
    start = '(' .. p[1]
    local suspect = often > 0 and p[4] >= often
    if not suspect or suspects > 0 then
      if suspect then suspects = suspects - 1 end
      local entry = redis.call('XRANGE', KEYS[3], p[1], p[1])
      local body, deliveries = false, p[4]
      if entry[1] then
        if not own then redis.call('XCLAIM', KEYS[3], ARGV[1], ARGV[2], 0, p[1]) end
        body = entry[1][2]
      end
      if not own then deliveries = deliveries + 1 end
      out[#out + 1] = {p[1], deliveries, body}
    end
  end
until #out > 0 or #pending < tonumber(ARGV[5])
return out
