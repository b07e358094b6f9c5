-- ARGV: prefix, worker, lease in milliseconds, a random token of this call, patience in milliseconds, number of the
-- worker's models, these models, number of the models that it serves or 0 for all, these models, ids of parked jobs that
-- this worker can read.
-- Returns {id, fence, request, 1 if it must run alone, its tenant or '', the place of its submission in a trace or '', the
-- file of the state that another worker has left or ''}, or nothing. The same token again (its answer was lost) gets the
-- same answer.
--
-- A worker that serves some models (CLIPs count, since tasks may need one alone) has the lines of these, and of the jobs
-- that need none; one that serves all has the whole queue. In both the rules are the same.
--
-- The first of the queue is claimed, with two exceptions. A job whose model the worker does not hold is passed over for
-- a while if another one in sight would need no loading, or another worker holds the model and has room. A quarantined
-- job (field 'suspect'), which was lost with its worker, runs alone: only a worker that holds nothing claims one, and
-- claims no more until it is done. So that none waits for ever on busy workers, one of them empties itself for it after
-- a while.
local prefix, worker, lease, token, patience = unpack(ARGV, 1, 5)
local SIGHT = 64
local DRAIN_MS = 30000
local now = now_us()
local patience_us = patience * 1000
local models, known = {}, tonumber(ARGV[6])
for i = 7, 6 + known do
  models[ARGV[i]] = true
end
local first_served = 8 + known
local number_served = tonumber(ARGV[first_served - 1] or 0)
local served = number_served > 0 and {['']=true}
for i = first_served, first_served + number_served - 1 do
  served[ARGV[i]] = true
end

local function answer(id)
  local fence, request, quarantined, tenant, trace, state =
    unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'fence', 'request', 'suspect', 'tenant', 'trace', 'state'))
  return {id, fence, request, quarantined and 1 or 0, tenant or '', trace or '', state or ''}
end

local receipt = redis.call('HMGET', prefix .. 'claimed:' .. worker, 'token', 'id', 'fence')
if receipt[1] == token then
  return owns(prefix, receipt[2], receipt[3]) and answer(receipt[2])
end

-- An operator has drained this worker: it has claimed its last job.
if redis.call('EXISTS', prefix .. 'draining:' .. worker) == 1 then
  return false
end

local held = redis.call('SMEMBERS', prefix .. 'held:' .. worker)
if #held == 1 and redis.call('HEXISTS', prefix .. 'job:' .. held[1], 'suspect') == 1 then
  return false
end

local first_foreign -- the first in the queue among those whose model the worker does not hold
local head -- the first of the worker's lines

local function pass_over(id, passed)
  if not passed then
    redis.call('HSET', prefix .. 'job:' .. id, 'passed_us', whole(now))
  end
end

-- 'take', 'skip', or 'drain': claim nothing at all, so as to become empty for this one.
local function consider_quarantined(id, passed)
  if #held == 0 then
    return 'take'
  end
  local drainer = redis.call('GET', prefix .. 'drainer')
  if drainer == worker or (not drainer and passed and now - passed >= patience_us) then
    redis.call('SET', prefix .. 'drainer', worker, 'PX', DRAIN_MS)
    return 'drain'
  end
  pass_over(id, passed)
  return 'skip'
end

local function consider(id)
  local status, model, quarantined, passed =
    unpack(redis.call('HMGET', prefix .. 'job:' .. id, 'status', 'model', 'suspect', 'passed_us'))
  passed = tonumber(passed or nil)
  if status ~= 'queued' or (served and not served[model or '']) then
    return 'skip'
  end
  head = head or id
  if quarantined then
    return consider_quarantined(id, passed)
  elseif known == 0 or model == '' or models[model] or (passed and now - passed >= patience_us) then
    return 'take'
  end
  first_foreign = first_foreign or {id = id, model = model, passed = passed}
  return 'skip'
end

local function first_fit(ids)
  for _, id in ipairs(ids) do
    local verdict = consider(id)
    if verdict == 'take' then
      return id
    elseif verdict == 'drain' then
      return false
    end
  end
  return nil
end

-- The ids at the front of the worker's lines and the parked ones that it can read, by tag.
local function in_sight()
  local first_parked = first_served + number_served
  if not served and #ARGV < first_parked then
    return redis.call('ZRANGE', prefix .. 'waiting', 0, SIGHT - 1)
  end
  local ids, tags = {}, {}
  local function add(id, tag)
    if tag and not tags[id] then
      tags[id] = tonumber(tag)
      table.insert(ids, id)
    end
  end
  local function add_line(key)
    local line = redis.call('ZRANGE', key, 0, SIGHT - 1, 'WITHSCORES')
    for i = 1, #line, 2 do
      add(line[i], line[i + 1])
    end
  end
  add_line(prefix .. 'waiting') -- jobs of an older API are in no line of a model
  for model in pairs(served or {}) do
    add_line(prefix .. 'waiting_for:' .. model)
  end
  for i = first_parked, #ARGV do
    add(ARGV[i], redis.call('ZSCORE', prefix .. 'aside', ARGV[i]))
  end
  table.sort(ids, function(a, b) return tags[a] < tags[b] or (tags[a] == tags[b] and a < b) end)
  return ids
end

-- Another worker that holds the model and has room for the job will come for it soon.
local function has_a_better_place(foreign)
  if foreign.passed and now - foreign.passed >= patience_us then
    return false
  end
  redis.call('ZREMRANGEBYSCORE', prefix .. 'holders:' .. foreign.model, '-inf', whole(now))
  local holders = redis.call('ZCARD', prefix .. 'holders:' .. foreign.model)
  return holders > (redis.call('ZSCORE', prefix .. 'holders:' .. foreign.model, worker) and 1 or 0)
end

local function choose()
  local id = first_fit(in_sight())
  if first_foreign then
    if id == nil and not has_a_better_place(first_foreign) then
      return first_foreign.id
    end
    pass_over(first_foreign.id, first_foreign.passed)
  end
  return id
end

local id = choose()
if not id then
  return false
end
local job = prefix .. 'job:' .. id
-- What waits for other workers alone must not hold the time of these lines up.
local tag = served and redis.call('HGET', prefix .. 'job:' .. head, 'tag')
  or redis.call('ZRANGE', prefix .. 'waiting', 0, 0, 'WITHSCORES')[2]
if tag and tonumber(tag) > tonumber(redis.call('GET', prefix .. 'virtual_time') or 0) then
  redis.call('SET', prefix .. 'virtual_time', tag)
  -- A flow whose last tag has passed starts afresh, like one that was never seen.
  redis.call('ZREMRANGEBYSCORE', prefix .. 'flows', '-inf', tag)
end
dequeue(prefix, id)
move(prefix, id, 'queued', 'running')
redis.call('HINCRBY', job, 'attempts', 1)
if redis.call('HINCRBY', job, 'starts', 1) == 1 then
  tally(prefix, id, 'waited', '', math.max(0, now - redis.call('HGET', job, 'created_us')) / 1000000)
end
-- The token keeps fences apart even if a failover loses the last claims and the count starts again from before them.
local fence = redis.call('HINCRBY', job, 'claims', 1) .. '-' .. token
redis.call('HSET', job, 'fence', fence, 'worker', worker, 'started_us', whole(now))
redis.call('HDEL', job, 'passed_us')
if redis.call('HEXISTS', job, 'suspect') == 1 and redis.call('GET', prefix .. 'drainer') == worker then
  redis.call('DEL', prefix .. 'drainer')
end
redis.call('ZADD', prefix .. 'leases', whole(now + lease * 1000), id)
redis.call('SADD', prefix .. 'held:' .. worker, id)
redis.call('HSET', prefix .. 'claimed:' .. worker, 'token', token, 'id', id, 'fence', fence)
redis.call('EXPIRE', prefix .. 'claimed:' .. worker, 600)
begin_events(prefix, id)
emit(prefix, id, 'started', 'attempt', redis.call('HGET', job, 'attempts'), 'worker', worker)
owe_webhook(prefix, id, 'started')
return answer(id)
