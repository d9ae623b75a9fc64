-- Start a child run once.
-- KEYS: journal, inbox of the child's function. ARGV: progress field, progress, child run, event, parent.
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('XADD', KEYS[2], '*', 'start', ARGV[3], 'event', ARGV[4], 'parent', ARGV[5])
  return 1
end
return 0
