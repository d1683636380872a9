"""Home Assistant's intents as tools, written by hand: intent -> the tools its sentences may mean, the first that fits.

The slots are those of `home_assistant.spans`, which splits upstream's by kind of device: what turning on does to a
light, opening does to a curtain and locking to a door.
"""

from __future__ import annotations

from training.data.sources.spans import Parameter, SpanTool

_NAME = Parameter("device", "Name of the device.", ("name",))
_AREA = Parameter("area", "Room or area of the house.", ("area",))
_FLOOR = Parameter("floor", "Floor of the house.", ("floor",))
_WHERE = (_AREA, _FLOOR)
_DEVICE_TYPE = Parameter(
    "device_type",
    "Kind of device, for all of that kind.",
    ("device_type",),
    values=((r"light|lamp", "light"), (r"fan", "fan"), (r"switch", "switch")),
)
_COVER_TYPE = Parameter(
    "cover_type",
    "Kind of cover.",
    ("cover_type",),
    values=(
        (r"curtain", "curtain"),
        (r"blind", "blind"),
        (r"window", "window"),
        (r"shade", "shade"),
        (r"garage", "garage"),
    ),
)
_PLAYER = Parameter("player", "Name of the media player.", ("name",))
_TIMER = (
    Parameter("name", "Name of the timer.", ("name",)),
    Parameter("hours", "Hours the timer was set to.", ("start_hours",), type="integer"),
    Parameter("minutes", "Minutes the timer was set to.", ("start_minutes",), type="integer"),
    _AREA,
)


def _state(slot: str, *values: tuple[str, str]) -> Parameter:
    return Parameter("state", "The state asked about.", (slot,), values=values, required=True)


def _number(name: str, slot: str, description: str) -> Parameter:
    return Parameter(name, description, (slot,), type="integer", required=True)


SENSORS = (
    (r"water|wet|leak|moist|dry", "moisture"),
    (r"carbon monoxide", "carbon_monoxide"),
    (r"charging|plugged", "battery_charging"),
    (r"batter", "battery"),
    (r"\bgas\b", "gas"),
    (r"motion", "motion"),
    (r"occup", "occupancy"),
    (r"smoke", "smoke"),
    (r"sound|noise", "sound"),
    (r"connect", "connectivity"),
    (r"\bhome\b|presen", "presence"),
    (r"running", "running"),
    (r"cold|freez", "cold"),
    (r"\bhot\b|heat", "heat"),
    (r"updates?\b", "update"),
    (r"vibrat", "vibration"),
)

TOOLS: dict[str, dict[str, tuple[SpanTool, ...]]] = {
    "devices": {
        "HassTurnOn": (
            SpanTool("run_script", "Run a script.", (Parameter("script", "Its name.", ("script",), required=True),)),
            SpanTool(
                "activate_scene",
                "Activate a scene.",
                (Parameter("scene", "Its name.", ("scene",), required=True), _AREA),
            ),
            SpanTool("lock_doors", "Lock doors.", (_NAME, *_WHERE), when=r"\b(lock|secure)\b"),
            SpanTool(
                "open_cover",
                "Open curtains, blinds, windows, doors or valves.",
                (_NAME, _COVER_TYPE, *_WHERE),
                when=r"\b(open|raise)\b",
            ),
            SpanTool("turn_on", "Turn on lights or other devices.", (_NAME, _DEVICE_TYPE, *_WHERE)),
        ),
        "HassTurnOff": (
            SpanTool("unlock_doors", "Unlock doors.", (_NAME, *_WHERE), when=r"\bunlock\b"),
            SpanTool(
                "close_cover",
                "Close curtains, blinds, windows, doors or valves.",
                (_NAME, _COVER_TYPE, *_WHERE),
                when=r"\b(close|shut|lower)\b(?! off| down)",
            ),
            SpanTool("turn_off", "Turn off lights or other devices.", (_NAME, _DEVICE_TYPE, *_WHERE)),
        ),
        "HassGetState": (
            SpanTool(
                "check_locks",
                "Find out whether doors are locked.",
                (_NAME, _state("lock_state", (r"unlock", "unlocked"), (r"lock", "locked")), *_WHERE),
            ),
            SpanTool(
                "check_covers",
                "Find out whether curtains, blinds or shades are open.",
                (_NAME, _COVER_TYPE, _state("cover_state", (r"open", "open"), (r"close|shut", "closed")), *_WHERE),
            ),
            SpanTool(
                "check_devices",
                "Find out whether lights, fans or switches are on.",
                (_NAME, _DEVICE_TYPE, _state("switch_state", (r"on", "on"), (r"off", "off")), *_WHERE),
            ),
            SpanTool(
                "check_sensor",
                "Find out what the house's sensors have detected.",
                (
                    Parameter(
                        "sensor_type", "What is detected.", ("sensor_type",), values=tuple(SENSORS), required=True
                    ),
                    Parameter("device", "Name of the sensor or device.", ("name",)),
                    *_WHERE,
                ),
            ),
            SpanTool(
                "read_sensor",
                "Read the value that a sensor measures.",
                (Parameter("sensor", "Name of the sensor or device.", ("sensor",), required=True),),
            ),
        ),
        "HassLightSet": (
            SpanTool(
                "set_brightness",
                "Set how bright lights are.",
                (_number("brightness", "brightness", "Brightness in percent."), _NAME, *_WHERE),
            ),
            SpanTool(
                "set_light_color",
                "Set the colour of lights.",
                (Parameter("color", "The colour.", ("color",), required=True), _NAME, *_WHERE),
            ),
        ),
        "HassSetPosition": (
            SpanTool(
                "set_position",
                "Open or close curtains, blinds or valves to some extent.",
                (_number("position", "position", "Percentage open."), _NAME, _COVER_TYPE, *_WHERE),
            ),
        ),
        "HassVacuumStart": (SpanTool("start_vacuum", "Have the robot vacuum clean.", (_NAME, *_WHERE)),),
        "HassVacuumReturnToBase": (SpanTool("return_vacuum", "Send the robot vacuum to its base.", (_NAME,)),),
        "HassBroadcast": (
            SpanTool(
                "broadcast",
                "Announce a message in the whole house.",
                (Parameter("message", "What to announce.", ("message",), required=True),),
            ),
        ),
    },
    "climate": {
        "HassClimateGetTemperature": (
            SpanTool("get_room_temperature", "Tell the temperature indoors.", (_NAME, _AREA)),
        ),
        "HassClimateSetTemperature": (
            SpanTool(
                "set_temperature",
                "Set the temperature of the heating.",
                (_number("temperature", "temperature", "Degrees."), _NAME, *_WHERE),
            ),
        ),
        "HassGetWeather": (
            SpanTool("get_weather", "Tell the weather.", (Parameter("location", "The place.", ("name",)),)),
        ),
    },
    "clock": {
        "HassGetCurrentDate": (SpanTool("get_date", "Tell today's date."),),
        "HassGetCurrentTime": (SpanTool("get_time", "Tell the time of day."),),
        "HassStartTimer": (
            SpanTool(
                "start_timer",
                "Start a timer.",
                (
                    Parameter("hours", "Hours.", ("hours",), type="integer"),
                    Parameter("minutes", "Minutes.", ("minutes",), type="integer"),
                    Parameter("seconds", "Seconds.", ("seconds",), type="integer"),
                    Parameter("name", "Name for the timer.", ("name",)),
                ),
            ),
        ),
        "HassCancelAllTimers": (SpanTool("cancel_all_timers", "Cancel all timers.", (_AREA,)),),
        "HassCancelTimer": (SpanTool("cancel_timer", "Cancel a timer.", _TIMER),),
        "HassPauseTimer": (SpanTool("pause_timer", "Pause a timer.", _TIMER),),
        "HassUnpauseTimer": (SpanTool("resume_timer", "Let a paused timer run on.", _TIMER),),
        "HassTimerStatus": (SpanTool("get_timer_status", "Tell how much time is left on timers.", _TIMER),),
        "HassIncreaseTimer": (
            SpanTool("extend_timer", "Add time to a timer.", (_number("add", "minutes", "Minutes to add."), *_TIMER)),
        ),
        "HassDecreaseTimer": (
            SpanTool(
                "shorten_timer",
                "Take time off a timer.",
                (_number("remove", "minutes", "Minutes to take off."), *_TIMER),
            ),
        ),
    },
    "media": {
        "HassMediaSearchAndPlay": (
            SpanTool(
                "play_media",
                "Find something to listen to or to watch, and play it.",
                (
                    Parameter("query", "What to play.", ("search_query",), required=True),
                    Parameter(
                        "media_type",
                        "Kind of media.",
                        ("media_class",),
                        values=(
                            (r"artist|band", "artist"),
                            (r"album", "album"),
                            (r"track|song", "track"),
                            (r"playlist", "playlist"),
                            (r"podcast", "podcast"),
                            (r"movie|film", "movie"),
                            (r"show|series", "tv_show"),
                        ),
                    ),
                    _PLAYER,
                    _AREA,
                ),
            ),
        ),
        "HassMediaPause": (SpanTool("pause_media", "Pause what is playing.", (_PLAYER, _AREA)),),
        "HassMediaUnpause": (SpanTool("resume_media", "Go on playing after a pause.", (_PLAYER, _AREA)),),
        "HassMediaNext": (SpanTool("next_track", "Skip to the next track or item.", (_PLAYER, _AREA)),),
        "HassMediaPrevious": (SpanTool("previous_track", "Go back to the previous track or item.", (_PLAYER, _AREA)),),
        "HassSetVolume": (
            SpanTool(
                "set_volume",
                "Set the volume of a media player.",
                (_number("volume", "volume_level", "Volume in percent."), _PLAYER, _AREA),
            ),
        ),
    },
    "lists": {
        "HassShoppingListAddItem": (
            SpanTool(
                "add_to_shopping_list",
                "Add something to the shopping list.",
                (Parameter("item", "The item.", ("item",), required=True),),
            ),
        ),
        "HassShoppingListCompleteItem": (
            SpanTool(
                "check_off_shopping_list",
                "Take something off the shopping list.",
                (Parameter("item", "The item.", ("item",), required=True),),
            ),
        ),
        "HassListAddItem": (
            SpanTool(
                "add_list_item",
                "Add an item to a list.",
                (
                    Parameter("item", "The item.", ("item",), required=True),
                    Parameter("list_name", "Name of the list.", ("name",), required=True),
                ),
            ),
        ),
        "HassListCompleteItem": (
            SpanTool(
                "complete_list_item",
                "Check off an item of a list.",
                (
                    Parameter("item", "The item.", ("item",), required=True),
                    Parameter("list_name", "Name of the list.", ("name",), required=True),
                ),
            ),
        ),
    },
}
