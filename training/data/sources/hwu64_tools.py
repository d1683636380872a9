"""HWU64's intents as tools, written by hand: intent -> the tools its utterances may mean, the first that fits wins.

Left out are intents whose utterances leave the wish to guesswork (`music_likeness`, `music_settings`, `general_*`).
"""

from __future__ import annotations

from training.data.sources.spans import Parameter, SpanTool

_DATE = Parameter("date", "Day, as said.", ("date",))
_TIME = Parameter("time", "Time of day, as said.", ("time", "timeofday"))
_WHEN = Parameter("when", "Day or time, as said.", ("date", "time", "timeofday"))
_ROOM = Parameter("room", "Room or part of the house.", ("house_place",))
_LIST = Parameter("list_name", "Name of the list.", ("list_name",))
_FROM = Parameter("origin", "Place to start from.", ("place_name",), after=r"\bfrom (the |my )?$")
_TO = Parameter("destination", "Place to go to.", ("place_name", "business_name"))
_NETWORK = Parameter(
    "platform",
    "The social network.",
    ("media_type",),
    values=(
        (r"tw+e+t|twit", "twitter"),
        (r"face ?book|\bfb\b", "facebook"),
        (r"insta", "instagram"),
        (r"snap", "snapchat"),
    ),
)
_CONTACT = ("person", "relation", "business_name")
_AMOUNT = Parameter("amount", "How much, or the level to set, as said.", ("change_amount",))

TOOLS: dict[str, tuple[SpanTool, ...]] = {
    "alarm_set": (
        SpanTool(
            "set_alarm",
            "Set an alarm.",
            (
                Parameter("time", "Time of the alarm, as said.", ("time", "timeofday"), required=True),
                _DATE,
                Parameter("repeat", "How often it repeats.", ("general_frequency",)),
                Parameter("label", "What the alarm is for.", ("event_name",)),
            ),
            ignore=frozenset({"alarm_type"}),
        ),
    ),
    "alarm_remove": (
        SpanTool(
            "delete_alarm",
            "Delete an alarm.",
            (_TIME, _DATE, Parameter("label", "What the alarm is for.", ("event_name", "alarm_type"))),
        ),
    ),
    "alarm_query": (
        SpanTool("list_alarms", "List the alarms that are set.", (_DATE, _TIME), ignore=frozenset({"alarm_type"})),
    ),
    "audio_volume_up": (
        SpanTool(
            "increase_volume", "Make the sound louder.", (_AMOUNT, Parameter("device", "Device.", ("device_type",)))
        ),
    ),
    "audio_volume_down": (
        SpanTool(
            "decrease_volume", "Make the sound quieter.", (_AMOUNT, Parameter("device", "Device.", ("device_type",)))
        ),
    ),
    "audio_volume_mute": (
        SpanTool(
            "mute_audio",
            "Mute the sound.",
            (
                Parameter("duration", "How long to stay muted, as said.", ("time",)),
                Parameter("device", "Device.", ("device_type",)),
            ),
            when=r"\bmute|\bsilent|\bsilence|\bquiet",
            unless=r"\bunmute",
        ),
    ),
    "calendar_set": (
        SpanTool(
            "create_calendar_event",
            "Add an event or a reminder to the calendar.",
            (
                Parameter("title", "What the event is.", ("event_name", "meal_type"), required=True),
                _DATE,
                _TIME,
                Parameter("repeat", "How often it repeats.", ("general_frequency",)),
                Parameter("attendees", "Who takes part.", ("person", "relation"), type="array"),
                Parameter("location", "Where it takes place.", ("place_name", "business_name")),
            ),
        ),
    ),
    "calendar_remove": (
        SpanTool(
            "delete_calendar_event",
            "Delete an event from the calendar.",
            (
                Parameter("title", "What the event is.", ("event_name", "meal_type")),
                _DATE,
                _TIME,
                Parameter("attendees", "Who takes part.", ("person", "relation"), type="array"),
            ),
        ),
    ),
    "calendar_query": (
        SpanTool(
            "get_calendar_events",
            "Look up events in the calendar.",
            (
                Parameter("title", "The event asked about.", ("event_name", "meal_type")),
                _DATE,
                _TIME,
                Parameter("attendees", "Who takes part.", ("person", "relation"), type="array"),
            ),
            ignore=frozenset({"place_name"}),
        ),
    ),
    "cooking_recipe": (
        SpanTool(
            "find_recipe",
            "Find out how to cook a dish.",
            (
                Parameter("dish", "The dish.", ("food_type", "drink_type"), required=True),
                Parameter("ingredient", "An ingredient asked about.", ("ingredient",)),
                Parameter("method", "The way of cooking.", ("cooking_type",)),
            ),
        ),
    ),
    "datetime_query": (
        SpanTool(
            "get_current_time",
            "Tell the time, here or in another place or time zone.",
            (Parameter("location", "Place or time zone.", ("place_name", "time_zone")),),
            when=r"\btime\b|\bclock\b|\bhour\b",
            unless=r"\bdate\b|\bday\b",
            ignore=frozenset({"timeofday"}),
        ),
        SpanTool(
            "get_date",
            "Tell the date or the day of the week.",
            (Parameter("day", "The day asked about, if not today.", ("date",)),),
            when=r"\bdate\b|\bday\b|\bmonth\b|\byear\b",
            unless=r"\btime\b",
        ),
    ),
    "datetime_convert": (
        SpanTool(
            "convert_time",
            "Convert a time between places or time zones.",
            (
                Parameter("time", "The time to convert, as said.", ("time",)),
                Parameter("from_zone", "Where the time holds.", ("time_zone", "place_name"), after=r"\bfrom (the )?$"),
                Parameter(
                    "to_zone",
                    "Where to convert it to.",
                    ("time_zone", "place_name"),
                    required=True,
                    after=r"\b(to|in|at) (the )?$",
                ),
            ),
            unless=r"\bdifference",
        ),
        SpanTool(
            "get_time_difference",
            "Tell the time difference between places.",
            (
                Parameter(
                    "places", "The places or time zones.", ("place_name", "time_zone"), type="array", required=True
                ),
            ),
            when=r"\bdifference",
            unless=r"\b(here|my|our|local|current|us)\b",
        ),
    ),
    "email_addcontact": (
        SpanTool(
            "add_contact",
            "Add someone to the contacts.",
            (
                Parameter("name", "Name of the person or business.", _CONTACT),
                Parameter("email", "The e-mail address.", ("email_address",), required=True),
            ),
        ),
    ),
    "email_query": (
        SpanTool(
            "check_email",
            "Look for e-mails in the mailbox.",
            (
                Parameter("sender", "Who sent them.", _CONTACT),
                Parameter("folder", "Folder to look in.", ("email_folder",)),
                _WHEN,
            ),
        ),
    ),
    "email_querycontact": (
        SpanTool(
            "get_contact_info",
            "Look up a contact's details.",
            (
                Parameter("name", "Name of the contact.", _CONTACT, required=True),
                Parameter("field", "The detail asked for, such as phone number.", ("personal_info",)),
            ),
            unless=r"\bcall\b",
        ),
    ),
    "email_sendemail": (
        SpanTool(
            "send_email",
            "Send an e-mail.",
            (
                Parameter(
                    "to",
                    "Recipients: names, relations or addresses.",
                    (*_CONTACT, "email_address"),
                    type="array",
                    required=True,
                ),
                Parameter(
                    "body",
                    "What to write.",
                    pattern=r"\b(?:saying|telling (?:him|her|them)|says|to say)(?: that)? (.+)$",
                ),
                Parameter(
                    "subject",
                    "What it is about.",
                    ("event_name",),
                    pattern=r"\b(?:about|regarding) (?!.*\bsaying\b)(.+)$",
                ),
            ),
            # What to write is not marked; most of these say it.
            unless=r"\breply|\brespond|\bif i\b|\bnew e?mails?\b.*\bfrom\b|\bcheck\b"
            r"|\b(tell|ask|let|i'?ll|i'm|will|we)\b|\bthat\b(?<!saying that)",
            when=r"mail|send|message|write|compose|contact",
        ),
    ),
    "iot_cleaning": (
        SpanTool(
            "start_vacuum_cleaner",
            "Start the vacuum cleaner robot.",
            (_ROOM, Parameter("time", "When to start, as said.", ("time", "date"))),
            unless=r"\bstop|\boff\b|\bpause",
            ignore=frozenset({"device_type"}),
        ),
    ),
    "iot_coffee": (
        SpanTool(
            "make_coffee",
            "Make coffee with the coffee machine.",
            (
                Parameter("coffee_type", "Kind of coffee.", ("coffee_type",)),
                Parameter("time", "When it should be ready, as said.", ("time", "timeofday", "date")),
            ),
            unless=r"\boff\b|\bstop|\bshop|\bwhere",
            ignore=frozenset({"device_type"}),
        ),
    ),
    "iot_hue_lightchange": (
        SpanTool(
            "set_light_color",
            "Change the colour of the lights.",
            (Parameter("color", "The colour.", ("color_type",), required=True), _ROOM),
            ignore=frozenset({"device_type"}),
        ),
    ),
    "iot_hue_lightdim": (
        SpanTool("dim_lights", "Make the lights darker.", (_ROOM, _AMOUNT), ignore=frozenset({"device_type"})),
    ),
    "iot_hue_lightup": (
        SpanTool("brighten_lights", "Make the lights brighter.", (_ROOM, _AMOUNT), ignore=frozenset({"device_type"})),
    ),
    "iot_hue_lightoff": (
        SpanTool(
            "turn_off_lights",
            "Switch lights off.",
            (_ROOM, Parameter("lamp", "A particular lamp.", ("device_type",)), _TIME),
        ),
    ),
    "iot_hue_lighton": (
        SpanTool(
            "turn_on_lights",
            "Switch lights on.",
            (_ROOM, Parameter("lamp", "A particular lamp.", ("device_type",)), _TIME),
        ),
    ),
    "iot_wemo_on": (
        SpanTool(
            "turn_on_plug",
            "Switch a smart plug or socket on.",
            (Parameter("device", "The plug, or the device behind it.", ("device_type",)), _ROOM),
        ),
    ),
    "iot_wemo_off": (
        SpanTool(
            "turn_off_plug",
            "Switch a smart plug or socket off.",
            (Parameter("device", "The plug, or the device behind it.", ("device_type",)), _ROOM),
        ),
    ),
    "lists_createoradd": (
        SpanTool(
            "add_to_list",
            "Put an item on a list.",
            (
                Parameter(
                    "item",
                    "The item.",
                    pattern=r"\b(?:add|put|include|insert) (.+?) (?:in)?(?:on)?to? (?:my|the|a|our|this)\b.*\blist",
                    required=True,
                ),
                _LIST,
            ),
            unless=r"\b(?:add|put|include|insert) (?:the |an? )?(?:new )?(?:items?|this|that|it|something|list)\b",
        ),
        SpanTool(
            "create_list",
            "Start a new list.",
            (_LIST,),
            when=r"\b(create|make|start|new|begin|prepare|open)\b",
            unless=r"\b(add|put|include|insert|remind)\b",
            ignore=frozenset({"date"}),
        ),
    ),
    "lists_query": (SpanTool("show_list", "Show what is on a list, or which lists there are.", (_LIST,)),),
    "lists_remove": (
        SpanTool(
            "remove_from_list",
            "Take an item off a list.",
            (
                Parameter(
                    "item",
                    "The item.",
                    pattern=r"\b(?:remove|delete|erase|take|cross) (?:off )?(?:the )?(.+?) (?:from|off)\b",
                    required=True,
                ),
                _LIST,
            ),
            unless=r"\b(?:items?|this|that|it|something|lists?|everything|all) (?:from|off)\b",
        ),
        SpanTool(
            "delete_list",
            "Delete a whole list.",
            (_LIST,),
            when=r"\blists?\b",
            unless=r"\b(from|off|on|in|item|items|out)\b",
        ),
    ),
    "music_query": (
        SpanTool(
            "get_current_song",
            "Tell what music is playing now.",
            when=r"\b(this|current|currently|now|playing|that)\b.*\b(song|music|track)|\b(song|music|track)\b.*\b(this|current|now|playing|on)\b",
        ),
    ),
    "news_query": (
        SpanTool(
            "get_news",
            "Get the latest news.",
            (
                Parameter("topic", "What the news should be about.", ("news_topic", "person")),
                Parameter("location", "Place the news should be about.", ("place_name",)),
                Parameter("outlet", "Newspaper or broadcaster.", ("media_type",)),
                Parameter("date", "Of which day, as said.", ("date", "time")),
            ),
        ),
    ),
    "play_audiobook": (
        SpanTool(
            "play_audiobook",
            "Play an audiobook.",
            (
                Parameter("title", "Title of the book.", ("audiobook_name",), required=True),
                Parameter("author", "Author of the book.", ("audiobook_author",)),
                Parameter("app", "App to play it with.", ("app_name",)),
            ),
            unless=r"\bresume|\bcontinue|\bpause|\bstop|\bnext\b|\bforward|\brewind|\bback\b",
            ignore=frozenset({"player_setting", "media_type"}),
        ),
    ),
    "play_game": (
        SpanTool(
            "start_game",
            "Start a game.",
            (Parameter("game", "Name of the game.", ("game_name",), required=True),),
            ignore=frozenset({"game_type"}),
        ),
    ),
    "play_music": (
        SpanTool(
            "play_music",
            "Play music.",
            (
                Parameter("song", "Title of the song.", ("song_name",)),
                Parameter("artist", "Artist or band.", ("artist_name",)),
                Parameter("genre", "Music genre.", ("music_genre",)),
                Parameter("playlist", "Name of the playlist.", ("playlist_name",)),
                Parameter("mood", "Mood or kind of music.", ("music_descriptor",)),
                Parameter("app", "App to play it with.", ("app_name",)),
            ),
        ),
    ),
    "play_podcasts": (
        SpanTool(
            "play_podcast",
            "Play a podcast.",
            (
                Parameter("podcast", "Name or topic of the podcast.", ("podcast_name",)),
                Parameter("episode", "Which episode, as said.", ("podcast_descriptor",)),
                Parameter("host", "Who makes the podcast.", ("person",)),
            ),
            unless=r"\bpause|\bstop|\bskip|\bsearch",
            ignore=frozenset({"player_setting"}),
        ),
    ),
    "play_radio": (
        SpanTool(
            "play_radio",
            "Play a radio station.",
            (
                Parameter("station", "Name or frequency of the station.", ("radio_name",)),
                Parameter("genre", "Music genre.", ("music_genre",)),
                Parameter("app", "App to play it with.", ("app_name",)),
            ),
            unless=r"\boff\b|\bstop",
        ),
    ),
    "qa_currency": (
        SpanTool(
            "get_exchange_rate",
            "Get the exchange rate between two currencies.",
            (
                Parameter(
                    "from_currency",
                    "Currency to convert from.",
                    ("currency_name", "place_name"),
                    after=r"\b(from|between|of|one|a|an|is|the|convert|exchange|for) (the |an? |one )?(current )?$",
                ),
                Parameter(
                    "to_currency",
                    "Currency to convert to.",
                    ("currency_name", "place_name"),
                    required=True,
                    after=r"\b(to|in|into|and|against|versus|vs) (the |an? |one )?$",
                ),
            ),
            unless=r"\bhow (many|much)\b.* (in|is|for|to) (one|a|an|the|\w+ed)\b|\bhow many\b",
            ignore=frozenset({"date"}),
        ),
    ),
    "qa_definition": (
        SpanTool(
            "get_definition",
            "Define a word or explain a thing.",
            (Parameter("term", "The word or thing.", ("definition_word",), required=True),),
        ),
    ),
    "qa_factoid": (
        SpanTool(
            "answer_question",
            "Answer a question of general knowledge.",
            (
                Parameter(
                    "question",
                    "The question.",
                    pattern=r"^(?:olly |hey |please )*"
                    r"((?:who|what|when|where|which|how|why|is|are|was|did|does|do)\b.{10,})$",
                    required=True,
                ),
            ),
            ignore=frozenset(
                {"person", "place_name", "artist_name", "event_name", "food_type", "date", "time", "media_type"}
            ),
        ),
    ),
    "qa_maths": (
        SpanTool(
            "calculate",
            "Work out an arithmetic expression.",
            (
                Parameter(
                    "expression",
                    "The expression, as said.",
                    pattern=r"(?:what is|what's|what are|how much is|calculate|solve|compute|equals?|add|tell me)"
                    r"(?: the (?:sum|answer|result) (?:of|to))? "
                    r"((?:\S+ ){0,6}(?:plus|minus|times|divided by|multiplied by|over|percent of|square root of)\b.*)$",
                    required=True,
                ),
            ),
        ),
    ),
    "qa_stock": (
        SpanTool(
            "get_stock_price",
            "Get the price of a company's stock.",
            (Parameter("company", "The company.", ("business_name",), required=True), _DATE),
            unless=r"\b(buy|sell|shares of .* can i|should i)\b",
        ),
    ),
    "recommendation_events": (
        SpanTool(
            "find_events",
            "Find events that take place.",
            (
                Parameter("location", "Where.", ("place_name", "business_type", "business_name")),
                Parameter("event_type", "Kind of event.", ("event_name",)),
                Parameter("date", "When, as said.", ("date", "timeofday", "time")),
            ),
        ),
    ),
    "recommendation_locations": (
        SpanTool(
            "find_places",
            "Find shops, restaurants and other places.",
            (
                Parameter("place_type", "Kind of place.", ("business_type",), required=True),
                Parameter("food", "Food or cuisine served.", ("food_type", "drink_type")),
                Parameter("location", "Where.", ("place_name",)),
                Parameter("name", "Name of the place.", ("business_name",)),
            ),
            ignore=frozenset({"meal_type"}),
        ),
    ),
    "recommendation_movies": (
        SpanTool(
            "find_movies",
            "Find movies that are shown in cinemas.",
            (
                Parameter("title", "Title of the movie.", ("movie_name",)),
                Parameter("genre", "Kind of movie.", ("movie_type",)),
                Parameter("location", "Where.", ("place_name", "business_name")),
                Parameter("date", "When, as said.", ("date", "timeofday", "time")),
            ),
            ignore=frozenset({"business_type", "event_name"}),
        ),
    ),
    "social_post": (
        SpanTool(
            "post_to_social_media",
            "Publish a post or a complaint on a social network.",
            (
                Parameter(
                    "message",
                    "What to write.",
                    pattern=r"\b(?:saying|that says|that|say|status as|status to|tell (?:them|everyone)) "
                    r"(?:that )?(.{6,})$",
                    required=True,
                ),
                _NETWORK,
                Parameter("addressee", "Company that the post is addressed to.", ("business_name",)),
            ),
            when=r"\b(post|tweet|status|share|write|tell|facebook|complain)",
        ),
    ),
    "social_query": (
        SpanTool(
            "check_social_media",
            "See what is new on a social network.",
            (
                Parameter("platform", "The social network.", ("media_type",), required=True),
                Parameter("person", "Whose posts.", ("person", "relation")),
                Parameter("date", "Since when, as said.", ("date", "time")),
            ),
        ),
    ),
    "takeaway_order": (
        SpanTool(
            "order_food",
            "Order food to take away or to be delivered.",
            (
                Parameter("food", "What to order.", ("food_type", "drink_type"), type="array"),
                Parameter("restaurant", "Where to order it.", ("business_name",)),
                Parameter(
                    "order_type",
                    "Delivery or takeaway.",
                    ("order_type",),
                    values=((r"deliver", "delivery"), (r"take|pick|carry|go", "takeaway")),
                ),
                Parameter("time", "When, as said.", ("time", "timeofday", "date")),
                Parameter("app", "App to order with.", ("app_name",)),
            ),
            ignore=frozenset({"meal_type", "business_type"}),
        ),
    ),
    "takeaway_query": (
        SpanTool(
            "check_takeaway",
            "Find out whether restaurants deliver or offer takeaway.",
            (
                Parameter("restaurant", "The restaurant.", ("business_name",)),
                Parameter("food", "The food wanted.", ("food_type",)),
                Parameter(
                    "order_type",
                    "Delivery or takeaway.",
                    ("order_type",),
                    values=((r"deliver", "delivery"), (r"take|pick|carry|go", "takeaway")),
                ),
            ),
            unless=r"\b(status|long|where is my|arrive|ready|my order|track)\b",
            ignore=frozenset({"business_type"}),
        ),
    ),
    "transport_query": (
        SpanTool(
            "get_train_times",
            "Look up departures of trains and other public transport.",
            (
                Parameter("transport", "Means of transport.", ("transport_type",), required=True),
                _FROM,
                _TO,
                _WHEN,
            ),
            when=r"\b(when|what time|schedule|times?|timings?|leave|arrive|departs?|next)\b",
        ),
        SpanTool(
            "get_directions",
            "Find the way to a place.",
            (
                Parameter(
                    "destination",
                    "Place to go to.",
                    ("place_name", "business_name"),
                    required=True,
                    after=r"(?<!from )(?<!from the )$",
                ),
                _FROM,
            ),
            when=r"\b(directions?|route|way|path|how (do|can) i get|how to (get|go|reach)|map|navigate)\b",
        ),
    ),
    "transport_taxi": (
        SpanTool(
            "book_taxi",
            "Order a taxi.",
            (
                Parameter("origin", "Where to be picked up.", ("place_name",), after=r"\b(from|at) (the |my )?$"),
                Parameter(
                    "destination", "Where to go.", ("place_name", "business_name"), after=r"\bto (go to )?(the |my )?$"
                ),
                Parameter("company", "Taxi company or service.", ("transport_agency",)),
                Parameter("time", "When, as said.", ("time", "timeofday", "date")),
            ),
            ignore=frozenset({"transport_type"}),
        ),
    ),
    "transport_ticket": (
        SpanTool(
            "book_ticket",
            "Book a ticket for a train or other transport.",
            (
                Parameter("transport", "Means of transport.", ("transport_type",)),
                _FROM,
                Parameter(
                    "destination",
                    "Place to go to.",
                    ("place_name",),
                    required=True,
                    after=r"\b(to|for|towards) (the |go to )?$",
                ),
                Parameter("date", "Day or time of travel, as said.", ("date", "time", "timeofday")),
                Parameter("ticket_type", "Kind of ticket or class.", ("transport_descriptor",)),
            ),
        ),
    ),
    "transport_traffic": (
        SpanTool(
            "get_traffic",
            "Report the traffic.",
            (Parameter("location", "Road or place.", ("place_name",)), _WHEN),
        ),
    ),
    "weather_query": (
        SpanTool(
            "get_weather",
            "Get the weather forecast.",
            (
                Parameter("location", "Place.", ("place_name",)),
                Parameter("date", "Day, as said.", ("date",)),
                _TIME,
                Parameter("condition", "What is asked about, such as rain or temperature.", ("weather_descriptor",)),
            ),
        ),
    ),
}
