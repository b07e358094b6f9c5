-- ARGV: prefix, id, what the job makes, its id. Note that a reserved job is in the queue. Returns whether the night still
-- waits for this job: if not, it was settled meanwhile and is nobody's.
local prefix, id, flight, job = unpack(ARGV)
local jobs = prefix .. 'night_jobs:' .. id
local noted = redis.call('HGET', jobs, flight)
if noted == '?' .. job then
  redis.call('HSET', jobs, flight, job)
  redis.call('HDEL', prefix .. 'night:' .. id, 'waits_for', 'waits_until_us')
end
return (noted == job or noted == '?' .. job) and 1 or 0
