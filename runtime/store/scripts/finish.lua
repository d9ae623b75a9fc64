-- End runs: each is acknowledged, and only where the acknowledgement counted
-- is its history written, its journal dropped, its parent told. A zombie ends nothing.
-- KEYS: done, dead, versions, counters, then per run: source stream, journal,
--       with 'p': parent journal, parent inbox; with 'o': once key, followers, inbox; with 'w': its wait sets.
-- ARGV: group, done limit, dead limit, runs, then per run: flags, entry id, run id, record;
--       with 'v': version; with 'p': parent run, parent path, result; with 'o': outcome; with 'w': n, n members.
-- flags: f failed, s nothing is recorded, i the source is an inbox, v the run was parked, p, o, w.
-- Most runs have no flag: that path is kept short, since it is the cost of every run.
local call, ki, ai, out, finished, journals = redis.call, 4, 4, {}, 0, {}
local group, limit = ARGV[1], ARGV[2]
local function key() ki = ki + 1 return KEYS[ki] end
local function arg() ai = ai + 1 return ARGV[ai] end

local function special(flags, source, journal, entry, run, record)
  local function has(flag) return string.find(flags, flag, 1, true) end
  local version, pjournal, pinbox, prun, ppath, presult, once, followers, inbox, outcome
  if has('v') then version = arg() end
  if has('p') then pjournal, pinbox, prun, ppath, presult = key(), key(), arg(), arg(), arg() end
  if has('o') then once, followers, inbox, outcome = key(), key(), key(), arg() end
  local waits = {}
  if has('w') then for w = 1, tonumber(arg()) do waits[w] = {key(), arg()} end end
  if call('XACK', source, group, entry) == 0 then return 0 end
  if has('i') then call('XDEL', source, entry) end
  if has('s') then
    call('HINCRBY', KEYS[4], record, 1)
  elseif has('f') then
    call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'r', record)
    call('HINCRBY', KEYS[4], 'failed', 1)
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
      call('SET', once, run .. ' ' .. outcome, 'KEEPTTL')
      for _, follower in ipairs(call('SMEMBERS', followers)) do call('XADD', inbox, '*', 'run', follower) end
      call('DEL', followers)
    end
  end
  for _, w in ipairs(waits) do call('SREM', w[1], w[2]) end
  journals[#journals + 1] = journal
  return 1
end

for r = 1, tonumber(ARGV[4]) do
  local flags, entry, run, record = ARGV[ai + 1], ARGV[ai + 2], ARGV[ai + 3], ARGV[ai + 4]
  local source, journal = KEYS[ki + 1], KEYS[ki + 2]
  ai, ki = ai + 4, ki + 2
  if flags ~= '' then
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
