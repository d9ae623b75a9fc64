-- Take an idempotency key for a run.
-- KEYS: once, followers. ARGV: run id, ttl ms, follow ('1': the run wants the holder's outcome, and to be told of it).
-- Returns '' when it is the run's, else the holder: run id, and after a space its outcome.
redis.call('SREM', KEYS[2], '') -- removes nothing, but comes first: a full Redis lets the rest happen, see beat
local holder = redis.call('GET', KEYS[1])
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ''
end
if string.sub(holder, 1, string.len(ARGV[1])) == ARGV[1] then return '' end
if ARGV[3] == '1' and not string.find(holder, ' ', 1, true) then
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return holder
