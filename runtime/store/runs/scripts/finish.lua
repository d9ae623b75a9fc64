-- End runs: each is acknowledged, and only where the acknowledgement counted
-- is its history written, its journal dropped, its parent told. A zombie ends nothing.
-- A run whose end was asked for ends in no other way.
-- KEYS: done, dead, versions, counters, cancels, then per run: source stream, journal,
--       with 'p': parent journal, parent inbox; with 'o': once key, followers, inbox; with 'w': its wait sets;
--       with 'k': per child cancels, journal, timers and inbox of its function; with 'q': its queues; with 't': where it is planned.
-- ARGV: group, done limit, dead limit, runs, then per run: flags, entry id, run id, record;
--       with 'v': version; with 'p': parent run, parent path, result; with 'o': outcome ('': the key is free again); with 'w': n, n members;
--       with 'k': reason, n, n times path and child run; with 'q': n.
-- flags: f failed, c cancelled, r rejected, s nothing is recorded, i the source is an inbox, v the run was parked, p, o, w, k, q, t.
-- Returns per run 1 (ended), 0 (not ours) or the request to cancel it.
-- Most runs have no flag: that path is kept short, since it is the cost of every run.
local call, ki, ai, out, finished, journals = redis.call, 5, 4, {}, 0, {}
local group, limit = ARGV[1], ARGV[2]
local function key() ki = ki + 1 return KEYS[ki] end
local function arg() ai = ai + 1 return ARGV[ai] end
local asked = call('HLEN', KEYS[5]) > 0

-- End the runs that a cancelled run waits for: those whose result its journal does not have.
local function cancel_children(journal, reason, children)
  local t = call('TIME')
  local request = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)) .. ' ' .. reason
  for _, c in ipairs(children) do
    if call('HEXISTS', journal, c.path) == 0 and call('HSETNX', c.cancels, c.run, request) == 1
       and call('HGET', c.journal, '@o') == '' then
      call('ZREM', c.timers, c.run)
      call('XADD', c.inbox, '*', 'run', c.run)
    end
  end
end

local function special(flags, source, journal, entry, run, record)
  local function has(flag) return string.find(flags, flag, 1, true) end
  local version, pjournal, pinbox, prun, ppath, presult, once, followers, inbox, outcome
  if has('v') then version = arg() end
  if has('p') then pjournal, pinbox, prun, ppath, presult = key(), key(), arg(), arg(), arg() end
  if has('o') then once, followers, inbox, outcome = key(), key(), key(), arg() end
  local waits, children, reason = {}, {}, nil
  if has('w') then for w = 1, tonumber(arg()) do waits[w] = {key(), arg()} end end
  if has('k') then
    reason = arg()
    for c = 1, tonumber(arg()) do
      children[c] = {cancels = key(), journal = key(), timers = key(), inbox = key(), path = arg(), run = arg()}
    end
  end
  local lines = {}
  if has('q') then for q = 1, tonumber(arg()) do lines[q] = key() end end
  local planned = has('t') and key()
  if asked and not (has('c') or has('r') or has('s')) then
    local request = call('HGET', KEYS[5], run)
    if request and #call('XPENDING', source, group, entry, entry, 1) > 0 then return request end
  end
  if call('XACK', source, group, entry) == 0 then return 0 end
  if asked then call('HDEL', KEYS[5], run) end
  if has('i') then call('XDEL', source, entry) end
  if has('s') then
    call('HINCRBY', KEYS[4], record, 1)
  elseif has('f') or has('c') then
    call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'r', record)
    call('HINCRBY', KEYS[4], has('c') and 'cancelled' or 'failed', 1)
  else
    if limit ~= '0' then call('XADD', KEYS[1], 'MAXLEN', '~', limit, '*', 'r', record) end
    finished = finished + 1
  end
  if version and call('HINCRBY', KEYS[3], version, -1) <= 0 then call('HDEL', KEYS[3], version) end
  if pjournal and call('EXISTS', pjournal) == 1 and call('HSETNX', pjournal, ppath, presult) == 1
     and call('HGET', pjournal, '@o') == '' then
    call('XADD', pinbox, '*', 'run', prun)
  end
  if once then
    local holder = call('GET', once)
    if holder and string.sub(holder, 1, string.len(run)) == run then
      if outcome == '' then call('DEL', once) else call('SET', once, run .. ' ' .. outcome, 'KEEPTTL') end
      for _, follower in ipairs(call('SMEMBERS', followers)) do call('XADD', inbox, '*', 'run', follower) end
      call('DEL', followers)
    end
  end
  for _, w in ipairs(waits) do call('SREM', w[1], w[2]) end
  for _, line in ipairs(lines) do call('LREM', line, 0, run) end
  if planned then call('ZREM', planned, run) end
  if reason then cancel_children(journal, reason, children) end
  journals[#journals + 1] = journal
  return 1
end

for r = 1, tonumber(ARGV[4]) do
  local flags, entry, run, record = ARGV[ai + 1], ARGV[ai + 2], ARGV[ai + 3], ARGV[ai + 4]
  local source, journal = KEYS[ki + 1], KEYS[ki + 2]
  ai, ki = ai + 4, ki + 2
  if flags ~= '' or asked then
    out[r] = special(flags, source, journal, entry, run, record)
  elseif call('XACK', source, group, entry) == 1 then
    if limit ~= '0' then call('XADD', KEYS[1], 'MAXLEN', '~', limit, '*', 'r', record) end
    journals[#journals + 1] = journal
    finished = finished + 1
    out[r] = 1
  else
    out[r] = 0
  end
end
if #journals > 0 then call('UNLINK', unpack(journals)) end
if finished > 0 then call('HINCRBY', KEYS[4], 'finished', finished) end
return out
