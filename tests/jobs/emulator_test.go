package jobs_test

import (
	"errors"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

// emulatorVariable names Google's Pub/Sub emulator, where there is one: then it
// has the topics, and the stand-in has not. It pushes without a token, which
// the proxies before the listeners add.
const emulatorVariable = "PUBSUB_EMULATOR_HOST"

// subscribe makes topic and subscriptions at the emulator.
func (s *stage) subscribe(at string) {
	s.t.Helper()
	ctx, project := s.t.Context(), s.Vars["GOOGLE_CLOUD_PROJECT"]
	client, err := pubsub.NewClient(ctx, project, option.WithEndpoint(at), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	name := "projects/" + project + "/topics/" + topic
	_, err = client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: name})
	for _, listener := range kinds().Listeners(topic) {
		front := s.fronts[listener]
		if front == nil {
			continue
		}
		front.signs = true
		c, _ := kinds().Consumer(listener)
		_, fault := client.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
			Name: "projects/" + project + "/subscriptions/" + listener, Topic: name, AckDeadlineSeconds: 10,
			PushConfig:  &pubsubpb.PushConfig{PushEndpoint: front.url + "/"},
			RetryPolicy: &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(c.MinBackoff), MaximumBackoff: durationpb.New(c.MaxBackoff)},
		})
		err = errors.Join(err, fault)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
