-- Give an event to a run that waits for it. What the stream had when the wait was
-- registered is not for it: the run has looked for that itself, and passes over
-- what has answered an earlier wait of it. Positions are compared, and no clocks.
-- KEYS: journal, wait set, inbox. ARGV: run id, member, path, result ('' when the run itself must look), candidate field, entry id, position field.
-- Returns 1 when it was taken.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SREM', KEYS[2], ARGV[2])
  return 0
end
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1 then
  -- The wait is over, the run goes on: it is not woken for this any more.
  redis.call('SREM', KEYS[2], ARGV[2])
  return 0
end
local function parts(id) -- the Redis that is built into dev leaves out a sequence of 0
  local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
  if seq == '' then seq = '0' end
  return tonumber(ms), seq
end
local position = redis.call('HGET', KEYS[1], ARGV[7])
if position then -- earlier releases keep none
  local ms, seq = parts(ARGV[6])
  local pms, pseq = parts(position)
  if ms < pms or ms == pms and (string.len(seq) < string.len(pseq) or string.len(seq) == string.len(pseq) and seq <= pseq) then return 0 end
end
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[1], ARGV[5]) -- first, so that a full Redis lets the rest happen: see beat
  redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
else
  redis.call('SREM', KEYS[2], ARGV[2])
  if redis.call('HSETNX', KEYS[1], ARGV[3], ARGV[4]) == 0 then return 0 end
end
if redis.call('HGET', KEYS[1], '@o') == '' then
  redis.call('XADD', KEYS[3], '*', 'run', ARGV[1])
end
return 1
