// Calls of the Image API as the Terraform provider makes them, through gophercloud: the same requests, headers, status
// codes and waiting. It prints one JSON object, and exits with 1 if a call did not end as the provider needs it.
//
//	terraform ENDPOINT upload FILE [NAME]       create with an id, tags and properties; PUT file; wait; compare MD5; change; delete
//	terraform ENDPOINT web-download URL [NAME]  create; import by web-download; wait; delete
//	terraform ENDPOINT share FILE PROJECT       create as shared; add a member; list the members; remove it
//
// The token is in OS_TOKEN, if there is one.
package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// What the provider's function resourceImagesImageV2RefreshFunc takes for "not yet": another status is a failure.
var pending = map[string]bool{"queued": true, "saving": true, "importing": true}

// The fields of gophercloud's images.Image that have a type of their own: another type in the answer is an error.
type image struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	Status          string    `json:"status"`
	Tags            []string  `json:"tags"`
	ContainerFormat string    `json:"container_format"`
	DiskFormat      string    `json:"disk_format"`
	MinDiskGB       int       `json:"min_disk"`
	MinRAMMB        int       `json:"min_ram"`
	Owner           string    `json:"owner"`
	Protected       bool      `json:"protected"`
	Visibility      string    `json:"visibility"`
	Hidden          bool      `json:"os_hidden"`
	Checksum        string    `json:"checksum"`
	SizeBytes       *float64  `json:"size"`
	VirtualSize     *float64  `json:"virtual_size"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
	File            string    `json:"file"`
	Schema          string    `json:"schema"`
}

type client struct {
	endpoint string
	token    string
}

// counting reads like a file, and counts what was read: that much was sent, or nearly.
type counting struct {
	reader io.Reader
	count  int64
}

func (c *counting) Read(buffer []byte) (int, error) {
	n, err := c.reader.Read(buffer)
	c.count += int64(n)
	return n, err
}

func main() {
	if len(os.Args) < 4 {
		fail("usage: terraform ENDPOINT upload|web-download|share ARGUMENT...")
	}
	c := &client{endpoint: strings.TrimRight(os.Args[1], "/") + "/v2", token: os.Getenv("OS_TOKEN")}
	rest := append(os.Args[3:], "")
	switch os.Args[2] {
	case "upload":
		c.upload(rest[0], rest[1])
	case "web-download":
		c.webDownload(rest[0], rest[1])
	case "share":
		c.share(rest[0], rest[1])
	default:
		fail("there is no command " + os.Args[2])
	}
}

func (c *client) upload(path, name string) {
	created := c.create(name, "private")
	file, err := os.Open(path)
	check(err)
	sum := md5.New()
	_, err = io.Copy(sum, file)
	check(err)
	_, err = file.Seek(0, io.SeekStart)
	check(err)
	body := &counting{reader: file}
	// gophercloud hands the reader over without a length, so that net/http sends chunks.
	status, answer, err := c.send("PUT", "/images/"+created.ID+"/file", body, "application/octet-stream")
	if err != nil {
		fail(fmt.Sprintf("the upload broke off after %d bytes: %v", body.count, err))
	}
	if status != 204 {
		finish(map[string]any{"status": status, "answer": string(answer), "sent": body.count}, 1)
	}
	done := c.wait(created.ID)
	if digits := hex.EncodeToString(sum.Sum(nil)); done.Checksum != digits {
		fail("the checksum is " + done.Checksum + ", and the file's MD5 is " + digits)
	}
	c.change(done.ID)
	c.must("DELETE", "/images/"+done.ID, nil, "", 204)
	finish(map[string]any{"status": 204, "sent": body.count, "size": *done.SizeBytes}, 0)
}

func (c *client) webDownload(url, name string) {
	created := c.create(name, "private")
	answer := c.must("GET", "/info/import", nil, "", 200)
	var info struct {
		ImportMethods struct {
			Description string   `json:"description"`
			Type        string   `json:"type"`
			Value       []string `json:"value"`
		} `json:"import-methods"`
	}
	check(json.Unmarshal(answer, &info))
	request := encode(map[string]any{"method": map[string]any{"name": "web-download", "uri": url}})
	status, answer, err := c.send("POST", "/images/"+created.ID+"/import", bytes.NewReader(request), "application/json")
	check(err)
	if status != 202 {
		finish(map[string]any{"status": status, "answer": string(answer)}, 1)
	}
	done := c.wait(created.ID)
	c.must("DELETE", "/images/"+done.ID, nil, "", 204)
	finish(map[string]any{"status": 202, "size": *done.SizeBytes, "methods": info.ImportMethods.Value}, 0)
}

func (c *client) share(path, project string) {
	created := c.create("shared", "shared")
	file, err := os.Open(path)
	check(err)
	c.must("PUT", "/images/"+created.ID+"/file", file, "application/octet-stream", 204)
	members := "/images/" + created.ID + "/members"
	c.must("POST", members, bytes.NewReader(encode(map[string]any{"member": project})), "application/json", 200)
	listed := c.must("GET", members, nil, "", 200)
	c.must("DELETE", members+"/"+project, nil, "", 204)
	c.must("DELETE", "/images/"+created.ID, nil, "", 204)
	finish(map[string]any{"status": 200, "answer": string(listed)}, 0)
}

func (c *client) create(name, visibility string) image {
	if name == "" {
		name = "terraform"
	}
	body := encode(map[string]any{
		"id": newID(), "name": name, "container_format": "bare", "disk_format": "raw", "visibility": visibility,
		"min_disk": 0, "min_ram": 0, "protected": false, "tags": []string{"one", "two"}, "os_type": "linux",
	})
	return parse(c.must("POST", "/images", bytes.NewReader(body), "application/json", 201))
}

// change replaces a name and tags, and adds and removes a property, in one PATCH of the newer form.
func (c *client) change(id string) {
	patch := encode([]map[string]any{
		{"op": "replace", "path": "/name", "value": "renamed"},
		{"op": "replace", "path": "/tags", "value": []string{"three"}},
		{"op": "add", "path": "/hw_disk_bus", "value": "scsi"},
		{"op": "remove", "path": "/os_type"},
	})
	form := "application/openstack-images-v2.1-json-patch"
	changed := parse(c.must("PATCH", "/images/"+id, bytes.NewReader(patch), form, 200))
	if changed.Name != "renamed" || len(changed.Tags) != 1 {
		fail("the changes were not made")
	}
}

func (c *client) wait(id string) image {
	for tries := 0; tries < 1200; tries++ {
		current := parse(c.must("GET", "/images/"+id, nil, "", 200))
		if current.Status == "active" {
			return current
		}
		if !pending[current.Status] {
			fail("the status is " + current.Status + ", which Terraform takes for a failure")
		}
		time.Sleep(100 * time.Millisecond)
	}
	fail("the image did not become active")
	return image{}
}

func (c *client) must(method, path string, body io.Reader, form string, expected int) []byte {
	status, answer, err := c.send(method, path, body, form)
	check(err)
	if status != expected {
		fail(fmt.Sprintf("%s %s: %d instead of %d: %s", method, path, status, expected, answer))
	}
	return answer
}

func (c *client) send(method, path string, body io.Reader, form string) (int, []byte, error) {
	request, err := http.NewRequest(method, c.endpoint+path, body)
	check(err)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "gophercloud/v2.0.0")
	if form != "" {
		request.Header.Set("Content-Type", form)
	}
	if c.token != "" {
		request.Header.Set("X-Auth-Token", c.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func parse(answer []byte) image {
	var parsed image
	check(json.Unmarshal(answer, &parsed))
	return parsed
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	check(err)
	return text
}

func newID() string {
	random := make([]byte, 16)
	source, err := os.Open("/dev/urandom")
	check(err)
	_, err = io.ReadFull(source, random)
	check(err)
	random[6], random[8] = random[6]&0x0f|0x40, random[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", random[:4], random[4:6], random[6:8], random[8:10], random[10:])
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	finish(map[string]any{"error": message}, 1)
}

func finish(result map[string]any, status int) {
	fmt.Println(string(encode(result)))
	os.Exit(status)
}
