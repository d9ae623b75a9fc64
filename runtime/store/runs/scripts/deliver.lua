-- Give an event to a run that waits for it.
-- KEYS: journal, wait set, inbox. ARGV: run id, member, path, result ('' when the run itself must look), candidate field, entry id.
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
