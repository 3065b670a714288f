package retention_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/retention"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0s", "0s": "0s", "30d": "30d", "720h": "30d", "1y": "365d", "1w2d12h": "9d12h",
		"90min": "1h30min", "1d1s": "1d1s", "36500d": "36500d", "007d": "7d",
	} {
		d, err := retention.ParseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, d.String(), text)
	}
	for text, want := range map[string]string{
		"6m": "minutes or months", "720h0m0s": "minutes or months", "": "must be like", "30": "must be like", "d": "must be like",
		"-1d": "must be like", "1.5h": "must be like", "1h1d": "must be like", "1d1d": "must be like", "1d ": "must be like", "1 d": "must be like",
		"1D": "must be like", "36501d": "at most 36500d", "36500d1s": "at most 36500d", "99999999999999999999s": "at most 36500d",
	} {
		_, err := retention.ParseDuration(text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"", "0", "30d", "1y2w3d4h5min6s", "6m", "36501d", "-1d", "1h1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := retention.ParseDuration(s)
		if err != nil {
			require.Zero(t, d)
			return
		}
		text, err := d.MarshalText()
		require.NoError(t, err)
		var back retention.Duration
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, d, back)
	})
}

func TestPolicyJSON(t *testing.T) {
	t.Parallel()
	zero := retention.Duration(0)
	for text, p := range map[string]retention.Policy{
		`{"keepLast":7}`: {KeepLast: 7},
		`{"keepWithin":"30d","keepDaily":7,"atLeast":2,"keepFailed":"0s"}`: {KeepWithin: retention.Duration(720 * time.Hour), KeepDaily: 7, AtLeast: 2, KeepFailed: &zero},
	} {
		got, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
		var back retention.Policy
		require.NoError(t, json.Unmarshal(got, &back))
		require.Equal(t, p, back)
	}
	for _, d := range []retention.Duration{-1, 1, 1 << 62} {
		_, err := json.Marshal(retention.Policy{KeepWithin: d})
		require.ErrorContains(t, err, "must be whole seconds between 0s and 36500d")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	bad := retention.Duration(-time.Second)
	for field, p := range map[string]retention.Policy{
		"policy": {KeepFailed: new(retention.Duration)}, "keepLast": {KeepLast: -1}, "keepHourly": {KeepHourly: -1},
		"keepDaily": {KeepDaily: 100_001}, "keepWeekly": {KeepWeekly: -1, KeepLast: 1}, "keepMonthly": {KeepMonthly: -1},
		"keepYearly": {KeepYearly: -1}, "atLeast": {AtLeast: -1}, "keepWithin": {KeepWithin: 1}, "keepFailed": {KeepLast: 1, KeepFailed: &bad},
	} {
		var fe *retention.FieldError
		require.ErrorAs(t, p.Validate(), &fe, field)
		require.Equal(t, field, fe.Field)
		require.Contains(t, fe.Error(), field+" must ")
	}
	for _, p := range []retention.Policy{
		{KeepLast: 1}, {KeepWithin: retention.Duration(time.Second)}, {KeepHourly: 1}, {KeepDaily: 1}, {KeepWeekly: 1},
		{KeepMonthly: 1}, {KeepYearly: 100_000}, {AtLeast: 1},
	} {
		require.NoError(t, p.Validate())
	}
}
