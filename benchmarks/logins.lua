-- wrk's side of a storm of log-ins: known addresses with a wrong password, and unknown ones.
local count = 0

function request()
  count = count + 1
  local email = count % 2 == 0 and "known@example.com" or ("nobody" .. count .. "@example.com")
  return wrk.format("POST", "/api/auth/login", { ["Content-Type"] = "application/json" },
    '{"email":"' .. email .. '","password":"not the password"}')
end

local answers = {}

function setup(thread)
  table.insert(answers, thread)
end

refused, turned_away, other = 0, 0, 0

function response(status)
  if status == 401 then refused = refused + 1
  elseif status == 503 then turned_away = turned_away + 1
  else other = other + 1 end
end

function done()
  local sums = { 0, 0, 0 }
  for _, thread in ipairs(answers) do
    sums[1] = sums[1] + thread:get("refused")
    sums[2] = sums[2] + thread:get("turned_away")
    sums[3] = sums[3] + thread:get("other")
  end
  io.write(string.format("LOGINS %d %d %d\n", sums[1], sums[2], sums[3]))
end
