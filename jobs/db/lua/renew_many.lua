-- ARGV: prefix, lease in milliseconds, then for each job of a worker: id, fence, steps done or '' for no news, steps in
-- all, seconds left or ''. Extend the leases, and record the progress.
-- Returns 'held', 'canceled' (it should stop) or 'lost' for each.
local prefix, lease = ARGV[1], ARGV[2]
local now = now_us()
local answers, kept, moved = {}, {}, {}

-- Its followers read the step in the job's own stream. The stream of all jobs has none: with thousands of running jobs it
-- would hold nothing else. Who follows all of them hears it on a channel, once for all jobs of a worker.
local function advance(id, job, step, steps, eta, tenant, is_new)
  redis.call('HSET', job, 'step', step, 'steps', steps)
  if eta == '' then
    redis.call('HDEL', job, 'eta_s')
  else
    redis.call('HSET', job, 'eta_s', eta)
  end
  if is_new and steps ~= '0' then
    local news = {'step', step, 'steps', steps}
    if eta ~= '' then
      table.insert(news, 'eta_s')
      table.insert(news, eta)
    end
    local at = append(prefix, id, 'progress', unpack(news))
    table.insert(moved, {at, id, tenant or '', step, steps, eta})
  end
end

for i = 3, #ARGV, 5 do
  local id, fence, step, steps, eta = unpack(ARGV, i, i + 4)
  local job = prefix .. 'job:' .. id
  local status, owner, before, of, canceled, tenant =
    unpack(redis.call('HMGET', job, 'status', 'fence', 'step', 'steps', 'cancel_requested', 'tenant'))
  if status ~= 'running' or owner ~= fence then
    table.insert(answers, 'lost')
  else
    table.insert(kept, whole(now + lease * 1000))
    table.insert(kept, id)
    if step ~= '' then
      advance(id, job, step, steps, eta, tenant, before ~= step or of ~= steps)
    end
    table.insert(answers, canceled and 'canceled' or 'held')
  end
end
if #kept > 0 then
  redis.call('ZADD', prefix .. 'leases', unpack(kept))
end
if #moved > 0 then
  redis.call('PUBLISH', prefix .. 'advances', cjson.encode(moved))
end
return answers
