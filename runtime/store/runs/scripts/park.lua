-- Park a run: its state, its wake-up and its acknowledgement are one write.
-- A run whose end was asked for meanwhile is put back at once.
-- KEYS: source stream, journal, timers, inbox, versions, cancels, lacking [, queue, queued]
-- ARGV: group, entry id, run id, due ms (0: none), wake ('1': put it back at once), inbox ('1': the source is one),
--       meta ('' when stored before and the same), version, queued member ('' when none), front ('1': at the head of the queue),
--       runner, lacks (the code that it waits for; ''), n awaited fields..., field, value, ...
-- Returns 'ok', 'again' (something it awaits is already there) or 'lost' (it is no longer ours:
-- then nothing that it awaits concerns us).
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1, ARGV[11]) == 0 then return 'lost' end
local ai = 13
for _ = 1, tonumber(ARGV[13]) do
  ai = ai + 1
  if redis.call('HEXISTS', KEYS[2], ARGV[ai]) == 1 then return 'again' end
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if ARGV[6] == '1' then redis.call('XDEL', KEYS[1], ARGV[2]) end
if ARGV[7] ~= '' and redis.call('HSET', KEYS[2], '@', ARGV[7]) == 1 then
  redis.call('HINCRBY', KEYS[5], ARGV[8], 1)
end
redis.call('HSET', KEYS[2], '@o', '')
for i = ai + 1, #ARGV, 1000 do -- Lua takes some thousand arguments at most
  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
local wake = ARGV[5] == '1' or redis.call('HEXISTS', KEYS[6], ARGV[3]) == 1
if ARGV[9] ~= '' and not wake then
  redis.call(ARGV[10] == '1' and 'LPUSH' or 'RPUSH', KEYS[8], ARGV[3])
  redis.call('SADD', KEYS[9], ARGV[9])
end
if ARGV[12] ~= '' and not wake then
  redis.call('HSET', KEYS[2], '@lacks', ARGV[12])
  redis.call('HSET', KEYS[7], ARGV[3], ARGV[12])
end
if wake then
  redis.call('ZREM', KEYS[3], ARGV[3])
  redis.call('XADD', KEYS[4], '*', 'run', ARGV[3])
else
  -- Every parked run has a timer: the set is also the list of those that wait.
  redis.call('ZADD', KEYS[3], ARGV[4] == '0' and '9000000000000000' or ARGV[4], ARGV[3])
end
return 'ok'
