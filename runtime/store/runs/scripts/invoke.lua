-- Start a child run once. A zombie starts none: see emit.
-- KEYS: journal, inbox of the child's function, source stream.
-- ARGV: progress field, progress, child run, event, parent, group, entry id, runner.
if #redis.call('XPENDING', KEYS[3], ARGV[6], ARGV[7], ARGV[7], 1, ARGV[8]) == 0 then
  return redis.error_reply('FENCED the run has another owner')
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('XADD', KEYS[2], '*', 'start', ARGV[3], 'event', ARGV[4], 'parent', ARGV[5])
  return 1
end
return 0
