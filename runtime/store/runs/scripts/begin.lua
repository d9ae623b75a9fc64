-- Begin a run: it takes its start of the rate limit and all its slots, or
-- nothing. What was decided is in its journal, in the same write: a delivery
-- after a crash reads it and takes no start again. A zombie begins nothing: see emit.
-- GCRA has one number of state, see "Generic Cell Rate Algorithm", ITU-T I.371. Runs
-- that get no start are in a set, in their order: as many starts as runs before
-- one are not for it.
-- KEYS: source stream, journal, runners, leases; with a rate: its state, planned runs; per slot: slots, queue.
-- ARGV: group, entry id, runner, run id, lease ms, rate ('': none, 'delay' or 'drop'), interval in us, burst,
--       since (us, when it was planned first; 0: it was not), new ('1': not ahead of a queue), n slots, per slot: wanted in all, limit.
-- Returns {'begun'}, {'dropped'}, {'wait', ms} or {'full', which slot}.
local call = redis.call
local run, mode, interval, burst = ARGV[4], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
if #call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[3]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
local decided = call('HGET', KEYS[2], '@begin')
if decided == 'dropped' then return {'dropped'} end
local t = call('TIME')
local now = t[1] * 1000000 + t[2]
local ki, takes, tat, planned = 4, false, 0, 0

local function alive(runner)
  local last = call('ZSCORE', KEYS[3], runner)
  return last and tonumber(last) >= now / 1000 - tonumber(call('HGET', KEYS[4], runner) or ARGV[5])
end

-- How long runs are waited for that were planned and do not come.
local patience = 60000000

-- Write the state, which is kept for as long as somebody may ask for it.
local function keep()
  local ttl = math.ceil((tat - now) / 1000) + 1000
  if planned > 0 then
    ttl = math.max(ttl, 0) + math.ceil((planned * interval + 2 * patience) / 1000)
    call('PEXPIRE', KEYS[6], ttl)
  end
  call('SET', KEYS[5], string.format('%d', tat), 'PX', ttl)
end

local function take()
  tat = tat + interval
  planned = planned - call('ZREM', KEYS[6], run)
  keep()
end

if mode ~= '' then
  ki = 6
  if not decided then
    local stored = tonumber(call('GET', KEYS[5]) or '0')
    tat = math.max(stored, now)
    local starts = math.floor(burst - (tat - now) / interval)
    planned = call('ZCARD', KEYS[6])
    if mode == 'drop' then
      local outcome = starts > 0 and 'counted' or 'dropped'
      if starts > 0 then take() end
      call('HSET', KEYS[2], '@begin', outcome)
      if outcome == 'dropped' then return {outcome} end
      decided = outcome
    else
      local before = call('ZRANK', KEYS[6], run)
      if not before then before = ARGV[9] == '0' and planned or call('ZCOUNT', KEYS[6], '-inf', '(' .. ARGV[9]) end
      if before >= starts and now - stored + (burst - 1) * interval > patience and before > 0 then
        planned = planned - call('ZREMRANGEBYRANK', KEYS[6], 0, before - 1)
        before = 0
      end
      if before >= starts then
        local last = call('ZRANGE', KEYS[6], -1, -1, 'WITHSCORES')
        local at = tonumber(ARGV[9])
        if at == 0 then at = math.max(now, tonumber(last[2] or '0') + 1) end
        planned = planned + call('ZADD', KEYS[6], 'NX', string.format('%d', at), run)
        keep()
        return {'wait', math.max(1, math.ceil((tat + (before - burst + 1) * interval - now) / 1000))}
      end
      takes = true
    end
  end
end

local ai, n = 11, tonumber(ARGV[11])
for i = 1, n do
  local slots, queue = KEYS[ki + 2 * i - 1], KEYS[ki + 2 * i]
  local want, limit = tonumber(ARGV[ai + 2 * i - 1]), tonumber(ARGV[ai + 2 * i])
  local held, others = 0, 0
  local all = call('HGETALL', slots)
  for h = 1, #all, 2 do
    if all[h] == ARGV[3] then
      held = tonumber(all[h + 1])
    elseif alive(all[h]) then
      others = others + tonumber(all[h + 1])
    else
      call('HDEL', slots, all[h])
    end
  end
  if want > held and (want > limit - others or ARGV[10] == '1' and call('EXISTS', queue) == 1) then
    if takes then call('ZREM', KEYS[6], run) end -- others need not wait for one that has no slot
    return {'full', i}
  end
end
for i = 1, n do
  local slots = KEYS[ki + 2 * i - 1]
  call('HSET', slots, ARGV[3], ARGV[ai + 2 * i - 1])
  call('PEXPIRE', slots, 86400000)
end
if takes then take() end
if decided ~= 'begun' then call('HSET', KEYS[2], '@begin', 'begun') end
return {'begun'}
