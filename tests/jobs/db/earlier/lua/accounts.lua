-- Quotas. This file stands before prelude.lua in every script.
--
-- A job is charged to accounts: its tenant's, and its caller's if that has limits of its own. The submission gives each as
-- {name, requests a minute, units a second, most units at once, most waiting jobs, units a month}, where 0 is no limit.
--
-- The rates are granted by the generic cell rate algorithm, in its form of a leaky bucket (ITU-T I.371, Annex A): a level
-- falls at the rate, a job raises it by its cost, and passes if it stays within the burst. The level is in units, not in
-- time, so that whole costs add up exactly, and what is given back needs no rate.

local DAY_US = 86400 * 1000000

-- The calendar month of a time, in UTC, as '202611'. The year begins in March, so that the leap day ends it.
local function month_of(now)
  local days = math.floor(now / DAY_US) + 719468 -- since the first of March of the year 0
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local is_new_year = month >= 10
  return string.format('%04d%02d', year + era * 400 + (is_new_year and 1 or 0), is_new_year and month - 9 or month + 3)
end

-- A level as it is now.
local function leaked(level, at, now, per_second)
  return math.max(0, tonumber(level or 0) - math.max(0, now - tonumber(at or now)) * per_second / 1000000)
end

-- The number of an account's jobs that wait.
local function count_waiting(prefix, name, most)
  local place = prefix .. 'waiting_of:' .. name
  local count = redis.call('ZCARD', place)
  if count >= most then
    -- A process of an older version leaves the jobs here that it takes out of the queue.
    for _, id in ipairs(redis.call('ZRANGE', place, 0, 63)) do
      if redis.call('HGET', prefix .. 'job:' .. id, 'status') == 'queued' then
        break
      end
      count = count - redis.call('ZREM', place, id)
    end
  end
  return count
end

-- What is used of an account's limits now; what has no limit is not looked up.
local function used_of(prefix, account, now, month)
  local name, requests_a_minute, units_a_second, _, most_waiting, units_a_month = unpack(account)
  local used = {requests = 0, units = 0, waiting = 0, month = 0}
  if requests_a_minute > 0 or units_a_second > 0 then
    local requests, requests_at, units, units_at =
      unpack(redis.call('HMGET', prefix .. 'levels:' .. name, 'requests', 'requests_at', 'units', 'units_at'))
    used.requests = leaked(requests, requests_at, now, requests_a_minute / 60)
    used.units = leaked(units, units_at, now, units_a_second)
  end
  if most_waiting > 0 then
    used.waiting = count_waiting(prefix, name, most_waiting)
  end
  if units_a_month > 0 then
    used.month = tonumber(redis.call('HGET', prefix .. 'usage:' .. name .. ':' .. month, 'units') or 0)
  end
  return used
end

-- The limit of an account that a job of this cost would break, or nothing. That which lasts longest comes first.
local function broken_by(account, used, cost)
  local _, requests_a_minute, units_a_second, burst, most_waiting, units_a_month = unpack(account)
  if units_a_month > 0 and used.month + cost > units_a_month then
    return 'month'
  elseif most_waiting > 0 and used.waiting + 1 > most_waiting then
    return 'waiting'
  elseif units_a_second > 0 and used.units + cost > burst then
    return 'units'
  elseif requests_a_minute > 0 and used.requests + 1 > requests_a_minute then
    return 'requests'
  end
end

-- How the accounts stand before a job of this cost: {what is used of each, number of the account whose limit the job would
-- break or 0, that limit or ''}.
local function consider_cost(prefix, accounts, cost, now, month)
  local all, whose, limit = {}, 0, ''
  for number, account in ipairs(accounts) do
    all[number] = used_of(prefix, account, now, month)
    local broken = broken_by(account, all[number], cost)
    if broken and whose == 0 then
      whose, limit = number, broken
    end
  end
  return all, whose, limit
end

-- The same as an answer: the time, then requests, units, waiting jobs and units of the month of each account.
local function told(all, now)
  local answer = {string.format('%.0f', now)}
  for _, used in ipairs(all) do
    for _, name in ipairs({'requests', 'units', 'waiting', 'month'}) do
      table.insert(answer, string.format('%.17g', used[name]))
    end
  end
  return answer
end

-- Charge a job to its accounts; the names of all of them, and of those that limit waiting jobs, for its record. `all` is
-- what was used before, and is brought up to date.
local function charge(prefix, id, accounts, all, cost, now, month)
  local at = string.format('%.0f', now)
  local names, waits = {}, {}
  for number, account in ipairs(accounts) do
    local name, requests_a_minute, units_a_second, _, most_waiting = unpack(account)
    local used = all[number]
    used.requests, used.units, used.waiting, used.month =
      used.requests + 1, used.units + cost, used.waiting + 1, used.month + cost
    table.insert(names, name)
    if requests_a_minute > 0 or units_a_second > 0 then
      local levels, empty_s = prefix .. 'levels:' .. name, 1
      if requests_a_minute > 0 then
        redis.call('HSET', levels, 'requests', string.format('%.17g', used.requests), 'requests_at', at)
        empty_s = math.max(empty_s, used.requests * 60 / requests_a_minute)
      end
      if units_a_second > 0 then
        redis.call('HSET', levels, 'units', string.format('%.17g', used.units), 'units_at', at)
        empty_s = math.max(empty_s, used.units / units_a_second)
      end
      -- Empty, it is as if it had never been. The bound is of what Redis takes.
      redis.call('EXPIRE', levels, string.format('%.0f', math.min(1e9, math.ceil(empty_s) + 1)))
    end
    if most_waiting > 0 then
      redis.call('ZADD', prefix .. 'waiting_of:' .. name, at, id)
      table.insert(waits, name)
    end
    local usage = prefix .. 'usage:' .. name .. ':' .. month
    redis.call('HINCRBY', usage, 'units', cost)
    if redis.call('HINCRBY', usage, 'jobs', 1) == 1 then
      redis.call('EXPIRE', usage, 400 * 86400)
    end
  end
  return table.concat(names, ' '), table.concat(waits, ' ')
end

-- A job begins to wait, or ends doing so.
local function note_waiting(prefix, id, waits_with, created, is_waiting)
  for name in string.gmatch(waits_with or '', '%S+') do
    if is_waiting then
      redis.call('ZADD', prefix .. 'waiting_of:' .. name, created, id)
    else
      redis.call('ZREM', prefix .. 'waiting_of:' .. name, id)
    end
  end
end

-- Settle a job at its end: give back the part of its cost, from 0 to 1, that was not worked on, and count what was. It is
-- given back to the month that it was charged to.
local function settle(prefix, id, unspent, pictures, milliseconds)
  local job = prefix .. 'job:' .. id
  local names, month, cost = unpack(redis.call('HMGET', job, 'accounts', 'month', 'cost'))
  local units = math.floor(tonumber(cost or 0) * unspent + 0.5)
  for name in string.gmatch(names or '', '%S+') do
    local usage, levels = prefix .. 'usage:' .. name .. ':' .. month, prefix .. 'levels:' .. name
    for field, number in pairs({units = -units, pictures = pictures, milliseconds = milliseconds}) do
      if number ~= 0 and redis.call('EXISTS', usage) == 1 then
        redis.call('HINCRBY', usage, field, string.format('%.0f', number))
      end
    end
    local level = units > 0 and redis.call('HGET', levels, 'units')
    if level then
      redis.call('HSET', levels, 'units', string.format('%.17g', math.max(0, level - units)))
    end
  end
end

