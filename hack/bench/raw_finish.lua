-- Finishes many runs at once, each only if this caller still held its event.
-- KEYS: 1 the event stream, 2 the history, then the journals of the runs (none
--       when the runs have one step only).
-- ARGV: 1 the consumer group, 2 how many runs the history keeps, then for each
--       run its entry in the event stream, its id and its output.
-- Returns the positions, from 0, of the runs that somebody else had finished.
local refused, journals = {}, {}
local group, keep, kept = ARGV[1], ARGV[2], #KEYS > 2
local run = 0
for i = 3, #ARGV, 3 do
  if redis.call('XACK', KEYS[1], group, ARGV[i]) == 1 then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', keep, '*', 'run', ARGV[i + 1], 'event', ARGV[i], 'output', ARGV[i + 2])
    if kept then journals[#journals + 1] = KEYS[3 + run] end
  else
    refused[#refused + 1] = run
  end
  run = run + 1
end
if #journals > 0 then redis.call('UNLINK', unpack(journals)) end
return refused
