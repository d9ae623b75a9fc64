-- with pace
-- How many new runs a throttle lets begin now: none that is for a planned one.
-- See begin.
-- KEYS: state, planned runs. ARGV: 'even' or 'sliding', interval in us, burst or limit, period in us.
-- Returns {how many, ms until there is one}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local pace = paceOf(ARGV[1], KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), now)
local planned = redis.call('ZCARD', KEYS[2])
if planned < pace.starts then return {pace.starts - planned, 0} end
if pace.starts > 0 and pace.idle > patience then return {1, 0} end -- begin finds that nobody comes
return {0, math.max(1, math.ceil((pace.at(planned) - now) / 1000))}
