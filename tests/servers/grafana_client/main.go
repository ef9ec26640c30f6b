// Grafana's own Prometheus data source, asked over pipes: one JSON request per line in, one JSON answer per line out.
//
// It is the code that Grafana runs for "Save & test", panels, Explore, variables and alert rules. A request has one of
// "health", "query" and "resource", or "wide": rows in long form, to be framed as alert evaluation frames them.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/httpclient"
	"github.com/grafana/grafana-plugin-sdk-go/backend/log"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/grafana/grafana/pkg/promlib"
)

const longestLine = 64 << 20

type settings struct {
	URL    string            `json:"url"`
	JSON   json.RawMessage   `json:"jsonData"`
	Secure map[string]string `json:"secureJsonData"`
}

type call struct {
	Health   bool `json:"health"`
	Resource *struct {
		URL    string `json:"url"`
		Method string `json:"method"`
		Body   string `json:"body"`
	} `json:"resource"`
	Query *struct {
		Model   json.RawMessage   `json:"model"`
		From    int64             `json:"from"`
		To      int64             `json:"to"`
		Step    int64             `json:"intervalMs"`
		Points  int64             `json:"maxDataPoints"`
		Headers map[string]string `json:"headers"`
	} `json:"query"`
	Wide json.RawMessage `json:"wide"`
}

type answer struct {
	Status  int             `json:"status"`
	Message string          `json:"message,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
	Frames  data.Frames     `json:"frames,omitempty"`
	Body    string          `json:"body,omitempty"`
}

type source struct {
	service *promlib.Service
	plugin  backend.PluginContext
}

func main() {
	var given settings
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		panic(err)
	}
	asked := source{
		service: promlib.NewService(httpclient.NewProvider(), log.NewNullLogger(), nil),
		plugin: backend.PluginContext{
			OrgID:    1,
			PluginID: "prometheus",
			DataSourceInstanceSettings: &backend.DataSourceInstanceSettings{
				ID: 1, UID: "foreband", Type: "prometheus", Name: "Foreband", URL: given.URL,
				JSONData: given.JSON, DecryptedSecureJSONData: given.Secure, Updated: time.Unix(1, 0),
			},
		},
	}
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if err := out.Encode(asked.answer(lines.Bytes())); err != nil {
			panic(err)
		}
	}
}

func (s source) answer(line []byte) answer {
	var asked call
	err := json.Unmarshal(line, &asked)
	found := answer{}
	switch {
	case err != nil:
	case asked.Health:
		found, err = s.health()
	case asked.Resource != nil:
		found, err = s.resource(asked)
	case asked.Query != nil:
		found, err = s.query(asked)
	default:
		found, err = wide(asked.Wide)
	}
	if err != nil {
		return answer{Message: err.Error()}
	}
	return found
}

func (s source) health() (answer, error) {
	found, err := s.service.CheckHealth(context.Background(), &backend.CheckHealthRequest{PluginContext: s.plugin})
	if err != nil {
		return answer{}, err
	}
	return answer{Status: int(found.Status), Message: found.Message, Details: found.JSONDetails}, nil
}

func (s source) resource(asked call) (answer, error) {
	var found answer
	keep := backend.CallResourceResponseSenderFunc(func(sent *backend.CallResourceResponse) error {
		found = answer{Status: sent.Status, Body: string(sent.Body)}
		return nil
	})
	path, _, _ := strings.Cut(asked.Resource.URL, "?")
	err := s.service.CallResource(context.Background(), &backend.CallResourceRequest{
		PluginContext: s.plugin, Path: path, URL: asked.Resource.URL,
		Method: asked.Resource.Method, Body: []byte(asked.Resource.Body),
	}, keep)
	return found, err
}

func (s source) query(asked call) (answer, error) {
	const refID = "A"
	query := asked.Query
	found, err := s.service.QueryData(context.Background(), &backend.QueryDataRequest{
		PluginContext: s.plugin,
		Headers:       query.Headers,
		Queries: []backend.DataQuery{{
			RefID: refID, JSON: query.Model, MaxDataPoints: query.Points, Interval: time.Duration(query.Step) * time.Millisecond,
			TimeRange: backend.TimeRange{From: time.UnixMilli(query.From), To: time.UnixMilli(query.To)},
		}},
	})
	if err != nil {
		return answer{}, err
	}
	response := found.Responses[refID]
	if response.Error != nil {
		return answer{Status: int(response.Status), Message: response.Error.Error()}, nil
	}
	return answer{Status: int(response.Status), Frames: response.Frames}, nil
}

// wide frames rows of a time, names and one number as alert evaluation wants them: a column per series.
func wide(rows json.RawMessage) (answer, error) {
	var long data.Frame
	if err := json.Unmarshal(rows, &long); err != nil {
		return answer{}, err
	}
	if kind := long.TimeSeriesSchema().Type; kind != data.TimeSeriesTypeLong {
		return answer{}, fmt.Errorf("the rows are no long series but %s", kind)
	}
	framed, err := data.LongToWide(&long, nil)
	if err != nil {
		return answer{}, err
	}
	return answer{Status: 200, Frames: data.Frames{framed}}, nil
}
