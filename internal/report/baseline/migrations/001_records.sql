-- One row per run and case, and one per act of a person. record is the whole
-- record; the other columns are copies of what queries and dashboards filter by.
CREATE TABLE ci_disagg_records (
    id         text PRIMARY KEY,
    kind       text        NOT NULL,
    case_id    text        NOT NULL,
    match_key  text        NOT NULL,
    match      jsonb       NOT NULL,
    time       timestamptz NOT NULL,
    mode       text        NOT NULL,
    branch     text        NOT NULL,
    commit_id  text        NOT NULL,
    change_id  text        NOT NULL,
    run_id     text        NOT NULL,
    build_url  text        NOT NULL,
    cluster    text        NOT NULL,
    gpu        text        NOT NULL,
    nodes      text[]      NOT NULL,
    container  text        NOT NULL,
    tool       text        NOT NULL,
    source     text        NOT NULL,
    valid      boolean     NOT NULL,
    verdict    text        NOT NULL,
    act_by     text        NOT NULL,
    act_why    text        NOT NULL,
    act_target text        NOT NULL,
    record     jsonb       NOT NULL,
    stored     timestamptz NOT NULL DEFAULT now()
);

-- The history of one case on one branch, newest first.
CREATE INDEX ci_disagg_history ON ci_disagg_records
    (md5(case_id), match_key, branch, time DESC) WHERE kind = 'run' AND mode = 'nightly' AND valid;
-- The acts about one series.
CREATE INDEX ci_disagg_acts ON ci_disagg_records (md5(case_id), match_key) WHERE kind <> 'run';
CREATE INDEX ci_disagg_time ON ci_disagg_records (time DESC);

-- One row per measured metric, for dashboards: value is the median of the
-- repetitions.
CREATE VIEW ci_disagg_values AS
SELECT r.id, r.time, r.case_id, m ->> 'point' AS point, m ->> 'metric' AS metric, m ->> 'unit' AS unit,
       (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v::float8)
          FROM jsonb_array_elements_text(m -> 'values') AS v) AS value,
       jsonb_array_length(m -> 'values') AS repetitions,
       m ->> 'verdict' AS verdict, coalesce((m ->> 'open')::boolean, false) AS open,
       r.mode, r.branch, r.commit_id, r.change_id, r.run_id, r.build_url, r.cluster, r.gpu, r.nodes,
       r.container, r.tool, r.source, r.valid, r.match
  FROM ci_disagg_records AS r
 CROSS JOIN LATERAL jsonb_array_elements(r.record -> 'measurements') AS m
 WHERE r.kind = 'run';
