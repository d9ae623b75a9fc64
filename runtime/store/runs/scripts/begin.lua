-- with pace
-- Begin a run: it takes its start of the throttle and all its slots, or
-- nothing. What was decided is in its journal, in the same write: a delivery
-- after a crash reads it and takes no start again. A zombie begins nothing: see emit.
-- Runs that get no start of the throttle are in a set, in their order: as many
-- starts as runs before one are not for it.
-- KEYS: source stream, journal, runners, leases; with a throttle: its state, planned runs; per slot: slots, queue.
-- ARGV: group, entry id, runner, run id, lease ms, throttle ('': none, 'even' or 'sliding'), interval in us, burst or limit, period in us,
--       since (us, when it was planned first; 0: it was not), new ('1': not ahead of a queue), n slots, per slot: wanted in all, limit.
-- Returns {'begun'}, {'wait', ms} or {'full', which slot}.
local call = redis.call
local run = ARGV[4]
if #call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[3]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
local decided = call('HGET', KEYS[2], '@begin')
call('HDEL', KEYS[2], '') -- removes nothing, but comes first: a full Redis lets the rest happen, see beat
local t = call('TIME')
local now = t[1] * 1000000 + t[2]
local ki = 4
local takes = false

local function alive(runner)
  local last = call('ZSCORE', KEYS[3], runner)
  return last and tonumber(last) >= now / 1000 - tonumber(call('HGET', KEYS[4], runner) or ARGV[5])
end

local pace
local planned = 0

-- Keep the state for as long as somebody may ask for it.
local function keep()
  local ms = 0
  if planned > 0 then
    ms = math.ceil((math.max(pace.at(planned), now) - now + 2 * patience) / 1000)
    call('PEXPIRE', KEYS[6], ms)
  end
  pace.keep(ms)
end

local function take()
  pace.take(run)
  planned = planned - call('ZREM', KEYS[6], run)
  keep()
end

-- Runs that were planned and do not come are not waited for.
local function passOver(before)
  if before < pace.starts or pace.starts < 1 or pace.idle <= patience then return before end
  planned = planned - call('ZREMRANGEBYRANK', KEYS[6], 0, before - 1)
  return 0
end

-- Wait its turn: returns for how many ms; nothing when there is a start for it.
local function line()
  local since = ARGV[10]
  planned = call('ZCARD', KEYS[6])
  local before = call('ZRANK', KEYS[6], run)
  if not before then before = since == '0' and planned or call('ZCOUNT', KEYS[6], '-inf', '(' .. since) end
  before = passOver(before)
  if before < pace.starts then return nil end
  local last = call('ZRANGE', KEYS[6], -1, -1, 'WITHSCORES')
  local at = tonumber(since)
  if at == 0 then at = math.max(now, tonumber(last[2] or '0') + 1) end
  planned = planned + call('ZADD', KEYS[6], 'NX', string.format('%d', at), run)
  keep()
  return math.max(1, math.ceil((pace.at(before) - now) / 1000))
end

if ARGV[6] ~= '' then
  ki = 6
  if decided ~= 'begun' then
    pace = paceOf(ARGV[6], KEYS[5], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), now)
    local wait = line()
    if wait then return {'wait', wait} end
    takes = true
  end
end

local ai = 12
local n = tonumber(ARGV[12])
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
  if want > held and (want > limit - others or ARGV[11] == '1' and call('EXISTS', queue) == 1) then
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
