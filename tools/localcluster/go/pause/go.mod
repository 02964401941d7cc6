module rampway.local/pause

go 1.26
