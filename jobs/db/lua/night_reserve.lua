-- ARGV: prefix, id, number of the picture whose larger form is to be made or '' for the next candidate, id of a job.
-- The job is noted, as reserved, before it is submitted: whoever finds it so submits it again under the same id, which
-- makes nothing twice. Returns {what the job is to make, its id}: '12', or '12/large'; or {} if the night wants nothing
-- more of that kind.
local prefix, id, number, job = unpack(ARGV)
local night, jobs = prefix .. 'night:' .. id, prefix .. 'night_jobs:' .. id
local status, goal, deleted = unpack(redis.call('HMGET', night, 'status', 'goal', 'deleted'))
if deleted or status ~= (number == '' and 'running' or 'finishing') or (number ~= '' and goal ~= 'succeeded') then
  return {}
end
local flight = number == '' and tostring(redis.call('HINCRBY', night, 'next', 1) - 1) or number .. '/large'
redis.call('HSETNX', jobs, flight, '?' .. job)
return {flight, (string.gsub(redis.call('HGET', jobs, flight), '^%?', '', 1))}
