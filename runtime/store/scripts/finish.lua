-- End runs: each is acknowledged, and only where the acknowledgement counted
-- is its history written, its journal dropped, its parent told. A zombie ends nothing.
-- KEYS: done, dead, versions, counters, then per run: source stream, journal,
--       with 'p': parent journal, parent inbox; with 'o': once key; then its wait sets.
-- ARGV: group, done limit, dead limit, runs, then per run: flags, entry id, run id, record,
--       version, with 'p': parent run, parent path, result; with 'o': outcome; n, n wait members.
-- flags: f failed, s nothing is recorded, i the source is an inbox, v the run was parked, p, o.
local ki, ai, out = 4, 4, {}
local function key() ki = ki + 1 return KEYS[ki] end
local function arg() ai = ai + 1 return ARGV[ai] end
for r = 1, tonumber(ARGV[4]) do
  local flags, entry, run, record, version = arg(), arg(), arg(), arg(), arg()
  local source, journal = key(), key()
  local pjournal, pinbox, prun, ppath, presult, once, outcome
  if string.find(flags, 'p', 1, true) then
    pjournal, pinbox, prun, ppath, presult = key(), key(), arg(), arg(), arg()
  end
  if string.find(flags, 'o', 1, true) then once, outcome = key(), arg() end
  local waits = {}
  for w = 1, tonumber(arg()) do waits[w] = {key(), arg()} end
  local counted = redis.call('XACK', source, ARGV[1], entry)
  out[r] = counted
  if counted == 1 then
    if string.find(flags, 'i', 1, true) then redis.call('XDEL', source, entry) end
    if string.find(flags, 's', 1, true) then
      redis.call('HINCRBY', KEYS[4], record, 1)
    elseif string.find(flags, 'f', 1, true) then
      redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'r', record)
      redis.call('HINCRBY', KEYS[4], 'failed', 1)
    else
      if ARGV[2] ~= '0' then redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'r', record) end
      redis.call('HINCRBY', KEYS[4], 'finished', 1)
    end
    if string.find(flags, 'v', 1, true) and redis.call('HINCRBY', KEYS[3], version, -1) <= 0 then
      redis.call('HDEL', KEYS[3], version)
    end
    if pjournal and redis.call('EXISTS', pjournal) == 1 and redis.call('HSETNX', pjournal, ppath, presult) == 1
       and redis.call('HGET', pjournal, '@o') == '' then
      redis.call('XADD', pinbox, '*', 'run', prun)
    end
    if once then
      local holder = redis.call('GET', once)
      if holder and string.sub(holder, 1, string.len(run)) == run then
        redis.call('SET', once, run .. ' ' .. outcome, 'KEEPTTL')
      end
    end
    for _, w in ipairs(waits) do redis.call('SREM', w[1], w[2]) end
    redis.call('UNLINK', journal)
  end
end
return out
