CREATE MATERIALIZED VIEW market.daily UUID '61f0c404-5cb3-11e7-907b-a6006ad3dba0' ON CLUSTER c TO market.sums (`d` Date, `v` Float64) AS SELECT d, sum(v) AS v FROM market.trades /* x */ GROUP BY d
