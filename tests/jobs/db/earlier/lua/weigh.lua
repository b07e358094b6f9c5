-- ARGV: prefix, id. Count the bytes of a job that an older version stored and never weighed.
local prefix, id = unpack(ARGV)
local job = prefix .. 'job:' .. id
if redis.call('EXISTS', job) == 1 and redis.call('HEXISTS', job, 'bytes') == 0 then
  weigh(prefix, id)
end
