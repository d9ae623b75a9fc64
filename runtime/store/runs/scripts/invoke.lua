-- Start a child run once. A zombie starts none: see emit.
-- A function is there when its inbox is: the operator makes it with its group,
-- before the first runner. What is put into one that is not there nobody reads.
-- KEYS: journal, inbox of the child's function, source stream.
-- ARGV: progress field, progress, child run, event, parent, group, entry id, runner.
-- Returns 1 when it was started, now or before, 0 when there is no such function.
if #redis.call('XPENDING', KEYS[3], ARGV[6], ARGV[7], ARGV[7], 1, ARGV[8]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before and cjson.decode(before)['c'] then return 1 end
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'start', ARGV[3], 'event', ARGV[4], 'parent', ARGV[5])
return 1
