-- Make the consumer groups of a function that are not there, each where it is to
-- begin: where a group of the function stood on that stream before, else with
-- what was published since a time. That the function reads the stream is recorded in
-- the same step: a group that nobody knows of would keep its stream for ever.
-- KEYS: inbox, reads, then per stream: the stream, where groups stood on it.
-- ARGV: function, then per stream: its event type, ms since 1970 ('': now).
-- Returns how many groups were made.
local call = redis.call
local made = 0

local function has(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return false end -- there is no such stream
  for _, g in ipairs(groups) do
    for i = 1, #g, 2 do
      if g[i] == 'name' and g[i + 1] == ARGV[1] then return true end
    end
  end
  return false
end

-- The position before a time. The clock of this server decides, since it makes
-- the ids, and its whole second counts: a time in the future would miss events.
local t = call('TIME')
local function before(ms)
  local at = t[1] * 1000
  if ms ~= '' then at = math.min(at, tonumber(ms)) end
  if at <= 0 then return '0' end
  return string.format('%d', at - 1) .. '-18446744073709551615'
end

local function make(stream, position)
  if has(stream) then return end
  call('XGROUP', 'CREATE', stream, ARGV[1], position, 'MKSTREAM')
  made = made + 1
end

make(KEYS[1], '0') -- what is addressed to the function alone has waited for it
for i = 3, #KEYS, 2 do
  -- A full Redis refuses to write: what is there is not written again.
  if call('SISMEMBER', KEYS[2], ARGV[i - 1]) == 0 then call('SADD', KEYS[2], ARGV[i - 1]) end
  make(KEYS[i], call('HGET', KEYS[i + 1], ARGV[1]) or before(ARGV[i]))
end
return made
