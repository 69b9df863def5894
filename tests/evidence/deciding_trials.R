# Compute every deciding trial of a study again, in base R, from the numbers of its runs.
#
#     Rscript tests/evidence/deciding_trials.R RESULTS [BENCH]
#
# RESULTS is a results folder or a reference (claims.csv, claim_runs.csv, metrics.csv, estimates.csv
# and config.json), BENCH what `make bench` measured. One line per trial; status 1 if an estimate, an
# end of an interval or a p differs by more than 1e-6 of itself, or an outcome differs.

arguments <- commandArgs(trailingOnly = TRUE)
results <- arguments[1]
bench_path <- if (length(arguments) > 1) arguments[2] else "bench/results/cost.json"
TOLERANCE <- 1e-6
ALIKE <- 5 # seeds that must agree before equal values count

# ── Reading ───────────────────────────────────────────────────────────────────

# JSON as nested lists: its tokens are turned into an R expression.
read_json <- function(path) {
  text <- paste(readLines(path, warn = FALSE), collapse = "\n")
  pattern <- '"(?:[^"\\\\]|\\\\.)*"|-?[0-9][-+.eE0-9]*|true|false|null|NaN|[][{},:]'
  tokens <- regmatches(text, gregexpr(pattern, text, perl = TRUE))[[1]]
  words <- c("{" = "list(", "[" = "list(", "}" = ")", "]" = ")", ":" = "=",
             "true" = "TRUE", "false" = "FALSE", "null" = "NA")
  known <- tokens %in% names(words)
  tokens[known] <- words[tokens[known]]
  eval(parse(text = paste(tokens, collapse = " "), keep.source = FALSE))
}

read_table <- function(name) {
  paths <- file.path(results, c("", "tables"), paste0(name, ".csv"))
  path <- paths[file.exists(paths)][1]
  if (is.na(path)) return(NULL)
  read.csv(path, colClasses = c(lambda = "character"), na.strings = "", check.names = FALSE)
}

claims <- suppressWarnings(read_table("claims"))
claim_runs <- suppressWarnings(read_table("claim_runs"))
runs <- read_table("metrics")
estimates <- suppressWarnings(read_table("estimates"))
study <- read_json(file.path(results, "config.json"))
alpha <- study$analysis$alpha

for (last in c("", "last_")) {
  column <- function(name) runs[[paste0(last, name)]]
  runs[[paste0(last, "accuracy_gap")]] <- column("train_accuracy") - column("test_accuracy")
  runs[[paste0(last, "loss_gap")]] <- column("test_loss") - column("train_loss")
}
if (!is.null(estimates)) {
  runs$estimate_ratio <- estimates$estimate_ratio[match(runs$key, estimates$key)]
}
measured <- sapply(runs, is.double)
runs[runs$status == "diverged", measured] <- NA
runs$diverged <- as.numeric(runs$status == "diverged")

# ── Numbers per seed ──────────────────────────────────────────────────────────

# The value that a claim states, from what the table says is compared.
stated_of <- function(claim) {
  pattern <- " against (-?[0-9.]+(e[-+]?[0-9]+)?)"
  found <- regmatches(claim$comparison, regexec(pattern, claim$comparison))[[1]]
  value <- if (length(found)) as.numeric(found[2]) else NA
  if (claim$unit == "ratio" && claim$test != "spread") log(if (is.na(value)) 1 else value)
  else if (is.na(value)) 0 else value
}

overlap_of <- function(claim, sides) {
  if (!grepl("test|gap$", claim$metric)) return(0)
  cells <- unique(sides[c("protocol", "dataset")])
  varies <- unlist(apply(cells, 1, function(cell)
    study$protocols[[cell[["protocol"]]]]$datasets[[cell[["dataset"]]]]$varies))
  if ("test_split" %in% varies) mean(sides$test_examples / sides$train_examples) else 0
}

# A named vector of a metric, by seed; the logarithms of a ratio's.
by_seed <- function(claim, side) {
  values <- setNames(side[[claim$metric]], side$seed)
  values <- values[!is.na(values)]
  if (claim$unit == "ratio") log(values[values > 0]) else values
}

differences <- function(claim, treated, baseline) {
  ours <- by_seed(claim, treated)
  theirs <- by_seed(claim, baseline)
  shared <- intersect(names(ours), names(theirs))
  values <- unname(ours[shared] - theirs[shared]) - stated_of(claim)
  least <- if (claim$unit == "ratio") 1 else abs(stated_of(claim))
  list(values = values, size = max(abs(c(ours[shared], theirs[shared])), least))
}

# Spearman's correlation with the order of lambda; of tied values the covariance of the ranks.
trends <- function(claim, side) {
  lambdas <- strsplit(sub("^trend over lambda ", "", claim$comparison), ", ")[[1]]
  k <- length(lambdas)
  unlist(lapply(split(side, side$seed), function(seed) {
    values <- seed[[claim$metric]][match(lambdas, seed$lambda)]
    if (anyNA(values)) NULL else 12 * sum((rank(values) - (k + 1) / 2) * seq_len(k)) / (k^3 - k)
  }), use.names = FALSE)
}

tau <- function(side, x, y, held) {
  groups <- if (held) split(side, paste(side$protocol, side$dataset, side$lambda)) else list(side)
  taus <- sapply(groups, function(g)
    if (length(unique(g[[x]])) < 2 || length(unique(g[[y]])) < 2) NA
    else cor(g[[x]], g[[y]], method = "kendall"))
  if (all(is.na(taus))) 0 else mean(taus, na.rm = TRUE)
}

# Jackknife pseudo-values of Kendall's correlation, one per seed.
pseudo_values <- function(claim, side) {
  x <- claim$metric
  y <- sub(", lambda held fixed$", "", sub("^correlation with ", "", claim$comparison))
  held <- claim$test == "partial_correlation"
  side <- side[!is.na(side[[x]]) & !is.na(side[[y]]), ]
  seeds <- unique(side$seed)
  n <- length(seeds)
  if (n < 3) return(numeric(0))
  without <- sapply(seeds, function(seed) tau(side[side$seed != seed, ], x, y, held))
  n * tau(side, x, y, held) - (n - 1) * without
}

bench_rounds <- function(claim) {
  way <- sub(",.*", "", claim$comparison)
  interval <- as.numeric(sub(".*every ([0-9]+) steps.*", "\\1", claim$comparison))
  ratios <- unlist(read_json(bench_path)$networks[[claim$dataset]]$rounds[[way]])
  log((interval - 1 + ratios) / interval) - stated_of(claim)
}

# ── Tests ─────────────────────────────────────────────────────────────────────

# The four one-sided p of an estimate, and its interval.
t_tests <- function(estimate, error, df, margin) {
  half <- qt(1 - alpha / 2, df) * error
  list(estimate = estimate, low = estimate - half, high = estimate + half,
       above = pt((estimate - margin) / error, df, lower.tail = FALSE),
       not_above = pt((estimate - margin) / error, df),
       below = pt((estimate + margin) / error, df),
       not_below = pt((estimate + margin) / error, df, lower.tail = FALSE), seen = NA)
}

untested <- function(estimate, seen = NA) {
  list(estimate = estimate, low = NA, high = NA, above = NA, not_above = NA, below = NA,
       not_below = NA, seen = seen)
}

agree <- function(values, size) diff(range(values)) <= 1e-12 * max(size, abs(values))

of_mean <- function(values, size, margin, overlap) {
  n <- length(values)
  if (n < 2) return(untested(if (n) values else NA))
  if (agree(values, size)) {
    x <- mean(values)
    where <- c("below", NA, "within", NA, "above")[3 + sign(x - margin) + sign(x + margin)]
    return(untested(x, if (n >= ALIKE) where else NA))
  }
  t_tests(mean(values), sd(values) * sqrt(1 / n + overlap), n - 1, margin)
}

of_correlation <- function(values, margin, overlap) {
  n <- length(values)
  if (n < 2) return(untested(if (n) values else NA))
  x <- mean(values)
  if (agree(values, 1)) {
    p <- function(side) if (side) 0.5^n else 1
    return(list(estimate = x, low = NA, high = NA, above = p(x > margin), not_above = p(x < margin),
                below = p(x < -margin), not_below = p(x > -margin), seen = NA))
  }
  x <- max(min(x, 1 - 1e-12), -1 + 1e-12)
  test <- t_tests(atanh(x), sd(values) * sqrt(1 / n + overlap) / (1 - x^2), n - 1, atanh(margin))
  test[c("estimate", "low", "high")] <- list(x, tanh(test$low), tanh(test$high))
  test
}

of_spreads <- function(ours, theirs, margin) {
  df <- c(length(ours), length(theirs)) - 1
  if (min(df) < 1 || agree(ours, 0) || agree(theirs, 0)) return(untested(NA))
  f <- var(ours) / var(theirs)
  ends <- sqrt(f / qf(c(1 - alpha / 2, alpha / 2), df[1], df[2]))
  upper <- f / margin^2
  lower <- f * margin^2
  list(estimate = sqrt(f), low = ends[1], high = ends[2],
       above = pf(upper, df[1], df[2], lower.tail = FALSE), not_above = pf(upper, df[1], df[2]),
       below = pf(lower, df[1], df[2]),
       not_below = pf(lower, df[1], df[2], lower.tail = FALSE), seen = NA)
}

within_p <- function(test) max(test$not_above, test$not_below)

# Several lambdas, all expected to be equal: the worst of them, with the p of all.
worst_of <- function(tests) {
  tried <- Filter(function(test) !identical(test$seen, "within"), tests)
  if (!length(tried)) tried <- tests
  misfits <- sapply(tried, function(test) if (is.na(within_p(test))) 2 else within_p(test))
  worst <- tried[[which.max(misfits)]]
  if (is.na(worst$above) || length(tried) == 1) return(worst)
  all_of <- function(name) sapply(tried, function(test) test[[name]])
  for (name in c("above", "below")) worst[[name]] <- min(1, length(tried) * min(all_of(name)))
  for (name in c("not_above", "not_below")) worst[[name]] <- max(all_of(name))
  worst
}

sides_of <- function(claim) {
  mine <- claim_runs[claim_runs$claim == claim$claim & claim_runs$protocol == claim$protocol, ]
  lapply(split(mine$key, mine$side), function(keys) runs[match(keys, runs$key), ])
}

try_claim <- function(claim) {
  margin <- if (claim$unit == "ratio") log(claim$margin) else claim$margin
  told <- if (claim$unit == "ratio") exp else identity
  if (claim$test == "bench") {
    test <- of_mean(bench_rounds(claim), 1, margin, 0)
  } else {
    sides <- sides_of(claim)
    overlap <- overlap_of(claim, do.call(rbind, sides))
    if (claim$test == "spread") {
      values <- lapply(sides[c("treated", "baseline")], function(side) {
        x <- side[[claim$metric]]
        x[!is.na(x)] * sqrt(1 + overlap_of(claim, side))
      })
      return(of_spreads(values$treated, values$baseline, claim$margin))
    }
    if (claim$test == "trend") return(of_correlation(trends(claim, sides$run), margin, overlap))
    if (grepl("correlation$", claim$test)) {
      return(of_correlation(pseudo_values(claim, sides$run), margin, overlap))
    }
    if (claim$test == "mean") {
      values <- by_seed(claim, sides$run)
      least <- if (claim$unit == "ratio") 1 else abs(stated_of(claim))
      test <- of_mean(unname(values) - stated_of(claim), max(abs(values), least), margin, overlap)
    } else {
      plain <- sides$baseline
      tests <- lapply(unique(sides$treated$lambda), function(lambda) {
        treated <- sides$treated[sides$treated$lambda == lambda, ]
        several <- length(unique(plain$lambda)) > 1
        baseline <- if (several) plain[plain$lambda == lambda, ] else plain
        numbers <- differences(claim, treated, baseline)
        overlap <- overlap_of(claim, rbind(treated, baseline))
        of_mean(numbers$values, numbers$size, margin, overlap)
      })
      test <- worst_of(tests)
    }
  }
  ends <- c("estimate", "low", "high")
  test[ends] <- lapply(test[ends], function(x) told(x + stated_of(claim)))
  test
}

# ── Outcomes ──────────────────────────────────────────────────────────────────

# P of the nulls that the effect is below, within and above the margin.
nulls_of <- function(test) {
  within <- min(test$above, test$below)
  pmin(2 * c(below = test$not_below, within = within, above = test$not_above), 1)
}

outcome_of <- function(expected, test, adjusted) {
  regions <- c("below", "within", "above")
  left <- if (is.na(test$seen)) regions[is.na(adjusted) | adjusted >= alpha] else test$seen
  if (expected == "equal") {
    if (identical(left, "within")) return("supported")
    return(if ("within" %in% left) "undetermined" else "reversed")
  }
  claimed <- if (expected == "higher") "above" else "below"
  opposite <- setdiff(c("above", "below"), claimed)
  if (claimed %in% left) return(if (identical(left, claimed)) "supported" else "undetermined")
  if (identical(left, opposite)) return("reversed")
  if (identical(left, "within")) "no effect of practical size" else "claimed effect excluded"
}

same <- function(mine, theirs) {
  if (is.na(mine) || is.na(theirs)) return(is.na(mine) && is.na(theirs))
  abs(mine - theirs) <= TOLERANCE * max(abs(mine), abs(theirs))
}

deciding <- claims[claims$family != "robustness" & claims$verdict != "not testable", ]
tests <- lapply(seq_len(nrow(deciding)), function(i) try_claim(deciding[i, ]))
nulls <- lapply(tests, nulls_of)
wrong <- 0
for (i in seq_len(nrow(deciding))) {
  claim <- deciding[i, ]
  test <- tests[[i]]
  adjusted <- pmin(sum(claims$family == claim$family) * nulls[[i]], 1)
  side <- if (is.na(claim$tail)) NULL else claim$tail
  claimed <- c(higher = "above", lower = "below")[claim$expected]
  mine <- c(
    estimate = test$estimate, low = test$low, high = test$high,
    p = if (is.null(side)) NA else test[[side]],
    p_adjusted = unname(adjusted["within"]),
    equivalence_p = within_p(test),
    equivalence_p_adjusted = max(adjusted[c("below", "above")]),
    excluded_p = if (is.na(claimed)) NA else test[[paste0("not_", claimed)]],
    excluded_p_adjusted = if (is.na(claimed)) NA else unname(adjusted[claimed])
  )
  differing <- names(mine)[!mapply(same, mine, unlist(claim[names(mine)]))]
  outcome <- outcome_of(claim$expected, test, adjusted)
  if (outcome != claim$verdict) differing <- c(differing, "verdict")
  for (name in differing) {
    here <- if (name == "verdict") outcome else format(mine[[name]], digits = 10)
    cat(sprintf("%s: %s is %s, and here %s\n", claim$claim, name, claim[[name]], here))
  }
  if (!length(differing)) cat(sprintf("%s: %s\n", claim$claim, outcome))
  wrong <- wrong + (length(differing) > 0)
}
agreeing <- nrow(deciding) - wrong
cat(sprintf("%d of %d deciding trials agree to %g\n", agreeing, nrow(deciding), TOLERANCE))
quit(status = as.integer(wrong > 0))
