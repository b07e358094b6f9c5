-- ARGV: prefix, id, what a job made or should have made, its id, the outcome ('made', 'failed', 'gone', 'enlarged' or
-- 'left small'), the score of what was made or the type of the failure, its message, the most points of the race, when
-- it was made or 0.
-- Returns how many candidates have failed in a row; -1 if the job was settled before.
local prefix, id, flight, job, outcome, told, message, most_points, made_us = unpack(ARGV)
local night, jobs = prefix .. 'night:' .. id, prefix .. 'night_jobs:' .. id
local noted = redis.call('HGET', jobs, flight)
if noted ~= job and noted ~= '?' .. job then
  return -1
end
redis.call('HDEL', jobs, flight)
local number = string.match(flight, '^%d+')
if outcome == 'enlarged' or outcome == 'left small' then
  -- The end of the id says so: + is enlarged, - could not be.
  local pictures = prefix .. 'night_pictures:' .. id
  local small = redis.call('HGET', pictures, number)
  if small then
    redis.call('HSET', pictures, number, outcome == 'enlarged' and job .. '+' or small .. '-')
  end
end
if outcome == 'failed' then
  redis.call('HINCRBY', night, 'failed', 1)
  redis.call('HINCRBY', night, 'in_a_row', 1)
end
if outcome == 'failed' or outcome == 'left small' then
  redis.call('HSET', night, 'error_type', told, 'error', message)
end
if outcome == 'made' then
  local made = redis.call('HINCRBY', night, 'made', 1)
  local scores, race = prefix .. 'night_scores:' .. id, prefix .. 'night_race:' .. id
  redis.call('ZADD', scores, told, number)
  redis.call('HSET', prefix .. 'night_pictures:' .. id, number, job)
  redis.call('HSET', night, 'in_a_row', 0)
  redis.call('HDEL', night, 'error_type', 'error')
  local keep_ppm, keep_most, created, every =
    unpack(redis.call('HMGET', night, 'keep_ppm', 'keep_most', 'created_us', 'every'))
  -- As kept_of in jobs/nights/rules.py.
  local kept = math.min(tonumber(keep_most), math.ceil(made * keep_ppm / 1000000))
  local has_room = tonumber(keep_ppm) == 1000000 and made < tonumber(keep_most)
  local worst = not has_room and redis.call('ZREVRANGE', scores, kept - 1, kept - 1, 'WITHSCORES')[2]
  every = tonumber(every)
  if number % every == 0 then
    local ms = whole(math.max(0, math.floor((made_us - created) / 1000)))
    redis.call('HSET', race, number, ms .. ' ' .. told .. ' ' .. (worst or ''))
    if redis.call('HLEN', race) > tonumber(most_points) then
      redis.call('HSET', night, 'every', every * 2)
      for _, other in ipairs(redis.call('HKEYS', race)) do
        if other % (every * 2) ~= 0 then
          redis.call('HDEL', race, other)
        end
      end
    end
  end
end
return tonumber(redis.call('HGET', night, 'in_a_row') or 0)
