-- Ask for the end of a run. A parked one is woken; one that a runner has, or
-- that nobody has read yet, is ended by the runner that has it or reads it.
-- KEYS: cancels, journal, timers, inbox, stream of the entry that starts the run.
-- ARGV: run id, reason, group, id of that entry ('': only the journal is asked),
--       ask ('0': only look, and drop a request for a run that has ended).
-- Returns 1 when the run has not ended, else 0.
local call = redis.call

-- Nobody was given the entry: the group has not come to it.
local function unread()
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[5])
  if groups.err or #call('XRANGE', KEYS[5], ARGV[4], ARGV[4]) == 0 then return false end
  local function parts(id) -- the Redis that is built into dev leaves out a sequence of 0
    local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
    return tonumber(ms), tonumber(seq) or 0
  end
  local ms, seq = parts(ARGV[4])
  for _, g in ipairs(groups) do
    local info = {}
    for i = 1, #g, 2 do info[g[i]] = g[i + 1] end
    if info['name'] == ARGV[3] then
      local last, lastseq = parts(info['last-delivered-id'])
      return last < ms or last == ms and lastseq < seq
    end
  end
  return false
end

local function pending()
  local p = redis.pcall('XPENDING', KEYS[5], ARGV[3], ARGV[4], ARGV[4], 1)
  return not p.err and #p > 0
end

local owner = call('HGET', KEYS[2], '@o')
local open = owner or ARGV[4] ~= '' and (pending() or unread())
if ARGV[5] == '0' then
  if not open then call('HDEL', KEYS[1], ARGV[1]) end
elseif open then
  call('HDEL', KEYS[2], '') -- removes nothing, but comes first: a full Redis lets the rest happen, and this ends a run
  local t = call('TIME')
  local now = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000))
  if call('HSETNX', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2]) == 1 and owner == '' then
    call('ZREM', KEYS[3], ARGV[1])
    call('XADD', KEYS[4], '*', 'run', ARGV[1])
  end
end
return open and 1 or 0
